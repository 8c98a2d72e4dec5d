//! What is wrong with a command line, said as every other error is.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::failure::{Exit, Failure, Message};

/// The mistake in `error`, which is none of the kinds that only ask for help.
pub fn failure(error: &clap::Error) -> Failure {
    let one = |kind| error.get(kind).and_then(first);
    let message = |what: String| Message::new(Exit::Usage, what);
    let argument = || one(ContextKind::InvalidArg).unwrap_or_else(|| "an argument".to_owned());
    let value = || one(ContextKind::InvalidValue).unwrap_or_default();
    let cause = std::error::Error::source(error);
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let verb = one(ContextKind::InvalidSubcommand).unwrap_or_default();
            similar(message(format!("there is no verb `{verb}`")), "verb", one(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::UnknownArgument => {
            let what = format!("{} is not known here", argument());
            similar(message(what), "flag", one(ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidValue if value().is_empty() => message(format!("{} has no value", argument())),
        ErrorKind::InvalidValue => {
            let known = error.get(ContextKind::ValidValue).map(all).unwrap_or_default();
            let message = message(format!("`{}` is no value for {}", value(), argument())).known(known);
            similar(message, "value", one(ContextKind::SuggestedValue))
        }
        ErrorKind::ValueValidation => {
            let message = message(format!("`{}` is no value for {}", value(), argument()));
            match cause {
                Some(cause) => message.help(cause.to_string()),
                None => message,
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = error.get(ContextKind::InvalidArg).map(all).unwrap_or_default();
            let verb = if missing.len() == 1 { "is" } else { "are" };
            message(format!("{} {verb} missing", missing.join(", ")))
        }
        ErrorKind::MissingSubcommand => {
            let known = error.get(ContextKind::ValidSubcommand).map(all).unwrap_or_default();
            message("a verb is missing".to_owned()).known(known)
        }
        ErrorKind::ArgumentConflict => match one(ContextKind::PriorArg) {
            Some(prior) if prior != argument() => message(format!("{} and {prior} exclude each other", argument())),
            _ => message(format!("{} was given twice", argument())),
        },
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            message(line.trim_start_matches("error: ").to_owned())
        }
    };
    with_usage(message, error).into()
}

fn similar(message: Message, what: &str, near: Option<String>) -> Message {
    match near {
        Some(near) => message.help(format!("a similar {what} is `{near}`")),
        None => message,
    }
}

/// Where there is nothing better to say, how the verb is used.
fn with_usage(message: Message, error: &clap::Error) -> Message {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) if !message.has_help() => usage.to_string(),
        _ => return message,
    };
    message.help(usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" "))
}

fn first(value: &ContextValue) -> Option<String> {
    all(value).into_iter().next()
}

fn all(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(texts) => texts.clone(),
        ContextValue::StyledStr(text) => vec![text.to_string()],
        ContextValue::StyledStrs(texts) => texts.iter().map(ToString::to_string).collect(),
        ContextValue::Number(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}
