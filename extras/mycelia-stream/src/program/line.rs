//! Records as lines of JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mycelia_stream::Record;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// What a line says.
pub(crate) enum Line {
    Record(Record),
    /// `{"batch_end": true}`, and nothing else.
    BatchEnd,
}

/// The fields of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a record")]
struct Fields {
    topic: Option<String>,
    payload: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    batch_end: bool,
}

impl Line {
    /// Reads one, without spaces around it.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        if !line.starts_with(b"{") {
            return Err("it is no JSON object, which begins with `{`".to_owned());
        }
        let fields: Fields = serde_json::from_slice(line).map_err(|error| problem(line, &error))?;
        let metadata = fields.metadata.unwrap_or_default();
        if fields.batch_end {
            let is_alone = fields.topic.is_none() && fields.payload.is_none() && metadata.is_empty();
            return if is_alone {
                Ok(Self::BatchEnd)
            } else {
                Err("`batch_end` is a line of its own".to_owned())
            };
        }
        let payload = fields.payload.ok_or("the payload is missing")?;
        let mut record = Record::new("", payload);
        record.topic = fields.topic.or_else(|| metadata.get("umh_topic").cloned()).map(Into::into);
        record.metadata = metadata.into_iter().collect();
        Ok(Self::Record(record))
    }
}

/// What is wrong with a line, and with which field of it.
#[cold]
fn problem(line: &[u8], error: &serde_json::Error) -> String {
    // It is always the first line of itself.
    let problem = error.to_string().replace(" at line 1 column", " at column");
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let field = match serde_path_to_error::deserialize::<_, Fields>(&mut deserializer) {
        Err(error) => error.path().to_string(),
        // It is what comes after.
        Ok(_) => return problem,
    };
    match &*field {
        "." | "?" => problem,
        "payload" if error.is_data() => format!(
            r#"payload: {problem}; it is JSON as a text: "{{\"value\":1,\"timestamp_ms\":1700000000000}}""#
        ),
        field => format!("{field}: {problem}"),
    }
}

/// Writes a record, with a line break.
pub(crate) fn write(out: &mut impl Write, record: &Record) -> io::Result<()> {
    #[derive(Serialize)]
    struct Written<'r> {
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'r str>,
        payload: &'r str,
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "pairs")]
        metadata: Option<&'r Record>,
    }

    let written = Written {
        topic: record.topic.as_deref(),
        payload: std::str::from_utf8(&record.payload).map_err(io::Error::other)?,
        metadata: (!record.metadata.is_empty()).then_some(record),
    };
    serde_json::to_writer(&mut *out, &written)?;
    out.write_all(b"\n")
}

fn pairs<S: Serializer>(record: &Option<&Record>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (key, value) in record.iter().flat_map(|record| record.metadata.iter()) {
        map.serialize_entry(key, value)?;
    }
    map.end()
}
