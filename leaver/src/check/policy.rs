//! What the policy asks for, and whether it can be had.

use lifecycle::Action;
use policy::Rule;

use crate::config::Config;
use crate::show::text::count;

use super::{Ability, Check, State};

/// Whether the examples pass, what is probably not meant, and what no downstream of a rule can do.
pub fn look(config: &Config, downstreams: &[Ability]) -> Vec<Check> {
    let name = config.policy.as_deref().map_or_else(|| "policy".to_owned(), crate::cli::shown);
    let mut checks = vec![examples(config, &name)];
    for warning in config.rules.warnings() {
        let detail = format!("line {}: {}", warning.line, warning.message);
        let check = Check::new("policy", &name, State::Warning, detail);
        checks.push(Check { help: warning.help.clone(), ..check });
    }
    checks.extend(config.rules.rules().iter().flat_map(|rule| unsupported(rule, downstreams)));
    checks
}

fn examples(config: &Config, name: &str) -> Check {
    let rules = count(config.rules.rules().len() as u64, "rule");
    if config.policy.is_none() {
        return Check::new("policy", name, State::Ok, format!("built-in, {rules}"));
    }
    let results = config.rules.run_examples();
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
fn unsupported(rule: &Rule, downstreams: &[Ability]) -> Vec<Check> {
    let concerned: Vec<&Ability> = downstreams
        .iter()
        .filter(|ability| rule.downstreams.as_ref().is_none_or(|names| names.contains(&ability.name)))
        .collect();
    let lack = |action: Action, ability: &Ability| {
        let can = |action: &Action| ability.actions.contains(action);
        // A store of sessions has no refresh tokens; who ends its sessions has ended all there is.
        let nothing_there = action == Action::RevokeRefresh
            && can(&Action::RevokeSessions)
            && rule.actions.contains(&Action::RevokeSessions);
        !can(&action) && !nothing_there && !rule.otherwise.iter().any(can)
    };
    let check = |action: &Action| {
        let lacking: Vec<&str> =
            concerned.iter().filter(|ability| lack(*action, ability)).map(|ability| ability.name.as_str()).collect();
        if lacking.is_empty() {
            return None;
        }
        let detail = format!("{action} is unsupported by {}", lacking.join(", "));
        let check = Check::new("rule", format!("rule {:?}", rule.name), State::Warning, detail);
        let ends = concerned.iter().any(|ability| ability.actions.contains(&Action::RevokeSessions));
        Some(if rule.otherwise.is_empty() && ends { check.help("add `else: revoke_sessions`") } else { check })
    };
    rule.actions.iter().filter_map(check).collect()
}
