//! What the policy asks for, and whether it can be had.

use lifecycle::Action;
use policy::{Policy, Rule};

use crate::config::Config;
use crate::show::text::count;

use super::{Ability, Check, State};

/// Whether the examples pass, what is probably not meant, and what no downstream of a rule can do.
pub fn look(config: &Config, downstreams: &[Ability]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (path, policy) in config.policies() {
        let name = path.map_or_else(|| "policy".to_owned(), crate::cli::shown);
        checks.push(examples(policy, path.is_none(), &name));
        for warning in policy.warnings() {
            let detail = format!("line {}: {}", warning.line, warning.message);
            let check = Check::new("policy", &name, State::Warning, detail);
            checks.push(Check { help: warning.help.clone(), ..check });
        }
        // Two policies may have a rule of one name.
        let draft = path.filter(|path| config.shadow.as_deref() == Some(*path)).map(|_| name.as_str());
        checks.extend(policy.rules().iter().flat_map(|rule| unsupported(rule, draft, downstreams)));
    }
    checks
}

fn examples(policy: &Policy, builtin: bool, name: &str) -> Check {
    let rules = count(policy.rules().len() as u64, "rule");
    if builtin {
        return Check::new("policy", name, State::Ok, format!("built-in, {rules}"));
    }
    let results = policy.run_examples();
    let failed = results.iter().filter(|result| !result.passed).count();
    match (results.len(), failed) {
        (0, _) => Check::new("policy", name, State::Ok, format!("{rules}, no examples")),
        (1, 0) => Check::new("policy", name, State::Ok, format!("{rules}, 1 example passes")),
        (all, 0) => Check::new("policy", name, State::Ok, format!("{rules}, {all} examples pass")),
        (all, _) => {
            let detail = format!("{rules}, {failed} of {} failed", count(all as u64, "example"));
            Check::new("policy", name, State::Failed, detail).help("`leaver policy test` shows what was expected")
        }
    }
}

/// Actions of a rule that some downstream it speaks of can neither carry out nor replace.
fn unsupported(rule: &Rule, draft: Option<&str>, downstreams: &[Ability]) -> Vec<Check> {
    let concerned: Vec<&Ability> = downstreams
        .iter()
        .filter(|ability| rule.downstreams.as_ref().is_none_or(|names| names.contains(&ability.name)))
        .collect();
    let lack = |action: Action, ability: &Ability| {
        let can = |action: &Action| ability.actions.contains(action);
        let somewhere = downstreams.iter().any(|other| other.actions.contains(&action));
        let meant = rule.downstreams.is_some() || policy::concerns(action, ability.actions, somewhere);
        // A store of sessions has no refresh tokens; who ends its sessions has ended all there is.
        let nothing_there = action == Action::RevokeRefresh
            && can(&Action::RevokeSessions)
            && rule.actions.contains(&Action::RevokeSessions);
        !can(&action) && meant && !nothing_there && !rule.otherwise.iter().any(can)
    };
    let check = |action: &Action| {
        let lacking: Vec<&str> =
            concerned.iter().filter(|ability| lack(*action, ability)).map(|ability| ability.name.as_str()).collect();
        if lacking.is_empty() {
            return None;
        }
        let detail = format!("{action} is unsupported by {}", lacking.join(", "));
        let of = draft.map(|file| format!(" of {file}")).unwrap_or_default();
        let check = Check::new("rule", format!("rule {:?}{of}", rule.name), State::Warning, detail);
        let ends = concerned.iter().any(|ability| ability.actions.contains(&Action::RevokeSessions));
        Some(match action {
            Action::Notify => check.help("a downstream of the type `webhook` takes signals"),
            Action::RevokeCredentials => {
                check.help("`credentials` of a downstream of the type `sql` says which there are")
            }
            _ if rule.otherwise.is_empty() && ends => check.help("add `else: revoke_sessions`"),
            _ => check,
        })
    };
    rule.actions.iter().filter_map(check).collect()
}
