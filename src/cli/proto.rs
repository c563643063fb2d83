//! `--protobuf`, `--proto` and `--proto-path`: schemas from files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::analysis::Schemas;
use crate::mqtt::{ProtocolLevel, topic};
use crate::payload::Schema;

use super::args::CommonArgs;
use super::error::Failure;

/// Compiles the named files and binds their types to topics.
pub(super) fn schemas(arguments: &CommonArgs) -> Result<Schemas, Failure> {
    let mut schemas = Schemas::default();
    if arguments.protobuf.is_empty() {
        return Ok(schemas);
    }
    let bindings = arguments
        .protobuf
        .iter()
        .map(|text| binding(text).ok_or_else(|| Failure::Binding(text.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    let named = names(&arguments.proto, &arguments.proto_path)?;
    for path in &arguments.proto {
        // An unreadable file is named as it was typed, not as it is imported.
        fs::File::open(path).map_err(|source| Failure::ProtoFile {
            path: path.clone(),
            source,
        })?;
    }
    let order: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    let files: HashMap<String, PathBuf> = named.into_iter().collect();
    let beside = arguments.proto.iter().filter_map(|path| path.parent());
    let places: Vec<PathBuf> = arguments
        .proto_path
        .iter()
        .map(PathBuf::as_path)
        .chain(beside)
        .map(Path::to_owned)
        .collect();
    let schema = Schema::compile(order.iter().map(String::as_str), move |name| {
        match files.get(name) {
            Some(path) => Some(fs::read_to_string(path)),
            None => places.iter().find_map(|place| read(&place.join(name))),
        }
    })?;
    for (filter, message) in bindings {
        schemas.bind(filter.into(), schema.message(message)?);
    }
    Ok(schemas)
}

/// `TOPIC/FILTER=package.Message`; a topic may hold `=`, the name of a message may not.
fn binding(text: &str) -> Option<(&str, &str)> {
    let (filter, message) = text.rsplit_once('=')?;
    let message = message.strip_prefix('.').unwrap_or(message);
    let valid = !topic::filter_violations(filter.as_bytes(), ProtocolLevel::V5).has_error();
    (valid && !message.is_empty()).then_some((filter, message))
}

/// The name under which each file is imported: its path below the first of the directories that
/// it is in, else its own name.
fn names(files: &[PathBuf], directories: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut named: Vec<(String, PathBuf)> = Vec::new();
    for path in files {
        let below = directories
            .iter()
            .find_map(|directory| path.strip_prefix(directory).ok());
        let relative = below.or_else(|| path.file_name().map(Path::new));
        let name = relative
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/");
        match named.iter().find(|(known, _)| *known == name) {
            Some((_, same)) if same == path => {}
            Some((_, other)) => {
                return Err(Failure::ProtoNames {
                    name,
                    paths: [other.clone(), path.clone()],
                });
            }
            None => named.push((name, path.clone())),
        }
    }
    Ok(named)
}

/// The text of a file, `None` where there is none.
fn read(path: &Path) -> Option<io::Result<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        result => Some(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_split_at_the_last_equals_sign() {
        assert_eq!(binding("plant/#=a.B"), Some(("plant/#", "a.B")));
        assert_eq!(binding("k=v/+=.a.B"), Some(("k=v/+", "a.B")));
        for text in ["", "plant", "=a.B", "plant=", "pl#ant=a.B", "a+/b=M"] {
            assert_eq!(binding(text), None, "{text}");
        }
    }

    #[test]
    fn files_are_named_as_imports_name_them() {
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        let name = |files: &[&str], directories: &[&str]| {
            names(&paths(files), &paths(directories))
                .map(|named| named.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(name(&["x/a.proto"], &[]).unwrap(), ["a.proto"]);
        assert_eq!(name(&["x/y/a.proto"], &["x"]).unwrap(), ["y/a.proto"]);
        assert_eq!(name(&["x/a.proto", "x/a.proto"], &[]).unwrap().len(), 1);
        assert!(name(&["x/a.proto", "y/a.proto"], &[]).is_err());
        assert!(name(&["x/a.proto", "y/a.proto"], &["."]).is_err());
        assert_eq!(
            name(&["x/a.proto", "x/y/a.proto"], &["x"]).unwrap(),
            ["a.proto", "y/a.proto"]
        );
    }
}
