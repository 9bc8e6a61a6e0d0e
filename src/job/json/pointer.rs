//! Where in a document a byte lies: walked only once something is wrong, so that the check itself
//! keeps no path.

/// A longer pointer helps nobody, and a hostile document could make one as long as itself.
const MAX_POINTER_BYTES: usize = 512;

enum Step {
    /// In an object, the name of the member; none before the first.
    Member(Option<String>),
    Item(usize),
}

/// The JSON pointer of the innermost value that holds byte `offset`. Everything before `offset`
/// must be valid JSON; a pointer that would grow too long ends at an ancestor.
pub(super) fn pointer_at(bytes: &[u8], offset: usize) -> String {
    let mut path: Vec<Step> = Vec::new();
    let mut key_next = false;
    let mut at = 0;
    while at < offset.min(bytes.len()) {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                if end > offset {
                    break;
                }
                if key_next && let Some(Step::Member(name)) = path.last_mut() {
                    *name = Some(unescape(&bytes[at..end]));
                    key_next = false;
                }
                at = end;
                continue;
            }
            b'{' => {
                path.push(Step::Member(None));
                key_next = true;
            }
            b'[' => path.push(Step::Item(0)),
            b'}' | b']' => {
                path.pop();
                key_next = false;
            }
            b',' => match path.last_mut() {
                Some(Step::Item(index)) => *index += 1,
                Some(Step::Member(name)) => {
                    *name = None;
                    key_next = true;
                }
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    render(&path)
}

/// Behind the closing quote, or behind the end when there is none.
fn string_end(bytes: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len() + 1
}

/// A name as a token of a JSON pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(quoted: &[u8]) -> String {
    serde_json::from_slice(quoted).unwrap_or_else(|_| String::from_utf8_lossy(quoted).into_owned())
}

fn render(path: &[Step]) -> String {
    let mut pointer = String::new();
    for step in path {
        let token = match step {
            Step::Member(None) => break,
            Step::Member(Some(name)) => escape(name),
            Step::Item(index) => index.to_string(),
        };
        if pointer.len() + token.len() >= MAX_POINTER_BYTES {
            break;
        }
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}
