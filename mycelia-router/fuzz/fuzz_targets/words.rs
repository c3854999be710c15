//! Bytes as text in which the grammar's own signs, and texts that share their first 16 bytes, are common.

const WORDS: [&str; 34] = [
    "/",
    "/",
    "/",
    "a",
    "b",
    "ab",
    "é",
    "日",
    ".",
    "{x}",
    "{y}",
    "{z}",
    "{*r}",
    "/{*rest}",
    "{{",
    "}}",
    "a{x}",
    "{y}.json",
    "0123456789abcdef",
    "0123456789abcdef0123456789abcdefé",
    "0123456789abcdé",
    "users",
    "/..",
    "\u{85}",
    "%",
    "%61",
    "%2F",
    "%2f",
    "%2e",
    "%25",
    "%C3%A9",
    "%C3",
    "a{*r}",
    "{x?}",
];

/// One text: each byte is itself, or stands for a word.
pub(crate) fn spell(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            0..0x80 => text.push(char::from(*byte)),
            _ => text.push_str(WORDS[usize::from(byte - 0x80) % WORDS.len()]),
        }
    }
    text
}
