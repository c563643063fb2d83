//! Just enough of Rust's lexical grammar to list the paths that a source file mentions: comments,
//! strings and `#[cfg(test)]` items are left out, `use` groups are multiplied out.

/// An identifier, the path separator, or any other single character.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

/// Every path in `source`, in order: `use a::{b, c::d}` gives `[a, b]` and `[a, c, d]`, an
/// expression `x::y()` gives `[x, y]`. A glob is the component `*`.
pub(crate) fn paths(source: &str) -> Vec<Vec<String>> {
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if matches!(tokens[at], Token::Word(_)) {
            at = read_path(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the path that begins at `at`, with `prefix` in front; returns where it ends.
fn read_path(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Word(word)) => path.push(word.clone()),
            Some(Token::Other('*')) => path.push("*".into()),
            Some(Token::Other('{')) => return read_group(tokens, at + 1, &path, found),
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&Token::PathSeparator) {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

/// Reads `a, b::{c}, d as e}`; returns the position after the closing brace.
fn read_group(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Other('}') => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(_) | Token::Other('*') => at = read_path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

/// Removes the items behind `#[cfg(test)]`: up to their `;` or the end of their braces.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let marker = self::tokens("#[cfg(test)]");
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&marker) {
            at = end_of_item(tokens, at + marker.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Other('{') => depth += 1,
            Token::Other('}') => depth = depth.saturating_sub(1),
            Token::Other(';') if depth == 0 => break,
            _ => continue,
        }
        if depth == 0 && token == &Token::Other('}') {
            break;
        }
    }
    at
}

fn tokens(source: &str) -> Vec<Token> {
    let mut rest = source;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(skipped) = length_of_skipped(rest) {
            skipped
        } else if first.is_alphanumeric() || first == '_' {
            let length = length_of_word(rest);
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            tokens.push(Token::PathSeparator);
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn length_of_word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Length of the comment, string or character literal that `text` begins with.
fn length_of_skipped(text: &str) -> Option<usize> {
    let end_after = |from: usize, end: &str| {
        text[from..]
            .find(end)
            .map_or(text.len(), |found| from + found + end.len())
    };
    if text.starts_with("//") {
        return Some(end_after(2, "\n"));
    }
    if text.starts_with("/*") {
        return Some(length_of_block_comment(text));
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return Some(end_after(prefix + 1 + hashes + 1, &end));
        }
    }
    if unprefixed.starts_with('"') {
        return Some(prefix + length_of_quoted(unprefixed, '"'));
    }
    // `'a` is a lifetime, `'a'` and `'\n'` are characters.
    let mut quoted = unprefixed.strip_prefix('\'')?.chars();
    let is_character = quoted.next() == Some('\\') || quoted.next() == Some('\'');
    is_character.then(|| prefix + length_of_quoted(unprefixed, '\''))
}

fn length_of_quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    text.len()
}

fn length_of_block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

#[test]
fn groups_are_multiplied_out_and_what_is_not_code_is_left_out() {
    let source = r####"
        //! `crate::doc` is no import.
        /* nor /* crate::nested */ crate::comment */
        use crate::{time::Timestamp as T, wire::{self, Segment}, tcp::*};
        fn f<'a>(x: &'a str) -> char { let _ = "crate::text \" crate::more"; 'c' }
        const R: &str = r#"crate::raw " "#; const B: &[u8] = b"crate::bytes"; const Q: char = '\'';
        fn g() -> Vec<crate::frame::Frame> { std::fs::read("x") }
        #[cfg(test)]
        mod tests { use crate::hidden::X; fn t() { if true { crate::hidden::y() } } }
        #[cfg(test)] use crate::hidden_too;
        use crate::seen;
    "####;
    let found: Vec<String> = paths(source)
        .iter()
        .filter(|path| path.len() > 1)
        .map(|path| path.join("::"))
        .collect();
    let expected = [
        "crate::time::Timestamp",
        "crate::wire::self",
        "crate::wire::Segment",
        "crate::tcp::*",
        "crate::frame::Frame",
        "std::fs::read",
        "crate::seen",
    ];
    assert_eq!(found, expected);
}
