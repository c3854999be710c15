//! Reading configurations from text.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Deserializer as Tracking, Track};
use serde_saphyr::{Error, MessageFormatter, Options, UserMessageFormatter};

use crate::config::{ConfigError, ConfigFault};
use crate::place::Position;

/// `yes` and `on` are texts, as they are in JSON; nothing is lost without a word.
fn options() -> Options {
    let mut options = Options::default();
    options.strict_booleans = true;
    // `!press` is an expression to its author.
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    options
}

/// What a text says, if it is YAML or JSON, and of this form.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_saphyr::from_str_with_options(text, options()).ok()
}

/// The same, and if not, where and why.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let mut track = Track::new();
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        T::deserialize(Tracking::new(deserializer, &mut track))
    });
    read.map_err(|error| {
        let path = track.path();
        let field: Vec<String> = path
            .iter()
            .map(ToString::to_string)
            // Beyond the document there is no path, and before a key is known neither.
            .filter(|key| key != "." && key != "?")
            .collect();
        let field: Vec<&str> = field.iter().map(String::as_str).collect();
        let position = error.location().and_then(Position::of);
        let mut message = problem(error.without_snippet());
        if field.first() == Some(&"mapping") && is_of_syntax(error.without_snippet()) {
            message.push_str("; if this is an expression, quote it ('…'), or write it below a |");
        }
        ConfigError::new(&field, ConfigFault::Format(message)).at(position)
    })
}

/// What is wrong, in the words of configurations.
fn problem(error: &Error) -> String {
    match error {
        Error::Unexpected { expected: "mapping start", .. } => {
            "fields are expected, each `name: value`".to_owned()
        }
        Error::Unexpected { expected: "string scalar", .. } | Error::NullIntoString { .. } => {
            "a text is expected".to_owned()
        }
        Error::InvalidScalar { .. } => "a whole number is expected, such as 5000".to_owned(),
        Error::UnsupportedTag { tag, .. } => format!("`{tag}` is a tag to YAML"),
        Error::Budget { .. } => "it is too large, or more than 63 levels deep".to_owned(),
        other => {
            let message = UserMessageFormatter.format_message(other).into_owned();
            message.replace("mapping values are not allowed in this context", "`: ` cannot be here")
        }
    }
}

/// Whether it is YAML's own.
fn is_of_syntax(error: &Error) -> bool {
    matches!(
        error,
        Error::ExternalMessage { .. } | Error::UnknownAnchor { .. } | Error::UnsupportedTag { .. }
    )
}
