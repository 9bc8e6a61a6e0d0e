//! Just enough of PostgreSQL's protocol to tell, from what a client sends, where a commit happens, and when it was answered.

use std::collections::HashMap;

/// Reads the client's side of one connection (without TLS).
#[derive(Default)]
pub(crate) struct Reader {
    unread: Vec<u8>,
    started: Option<String>,
    in_transaction: bool,
    statements: HashMap<Vec<u8>, String>,
    since_commit: String,
    executed: bool,
    asked: usize,
}

impl Reader {
    /// Takes what the client sent, and gives the SQL of each transaction that it thereby asked to commit.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        self.unread.extend_from_slice(bytes);
        let mut commits = Vec::new();
        while let Some((kind, body)) = self.next_message() {
            commits.extend(self.understand(kind, &body));
        }
        commits
    }

    /// What the client said of itself and its session when it started, if it has.
    pub(crate) fn started(&self) -> Option<&str> {
        self.started.as_deref()
    }

    /// How many answers the server owes for all that was sent so far, the one to the start of the session included.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// The messages before the session starts have no kind, only a length.
    fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = usize::from(self.started.is_some());
        let length: [u8; 4] = self.unread.get(head..head + 4)?.try_into().ok()?;
        let end = head + usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.unread.len() < end {
            return None;
        }
        let message: Vec<u8> = self.unread.drain(..end).collect();
        let (kind, body) = if self.started.is_some() {
            (message[0], message[5..].to_vec())
        } else {
            (0, message[4..].to_vec())
        };
        // Version 3; anything else asks for encryption, or cancels a query.
        let starts = self.started.is_none() && body.starts_with(&[0, 3]);
        if starts {
            self.started = Some(String::from_utf8_lossy(&body[4..]).replace('\0', " "));
        }
        self.asked += usize::from(starts || matches!(kind, b'Q' | b'S'));
        Some((kind, body))
    }

    fn understand(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        let mut strings = body.split(|byte| *byte == 0);
        let first = strings.next().unwrap_or_default();
        match kind {
            b'Q' => return self.simple_query(&String::from_utf8_lossy(first)),
            b'P' => {
                let sql = String::from_utf8_lossy(strings.next().unwrap_or_default()).into_owned();
                self.statements.insert(first.to_vec(), sql);
            }
            b'B' => {
                let sql = self.statements.get(strings.next().unwrap_or_default());
                self.since_commit.push_str(sql.map_or("", String::as_str));
            }
            b'E' => self.executed = true,
            b'S' if self.executed && !self.in_transaction => return Some(self.commit()),
            _ => {}
        }
        None
    }

    fn simple_query(&mut self, sql: &str) -> Option<String> {
        let verb =
            sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        self.since_commit.push_str(sql);
        match verb.to_ascii_uppercase().as_str() {
            "BEGIN" | "START" => self.in_transaction = true,
            "ROLLBACK" if !sql.to_ascii_uppercase().contains(" TO ") => {
                self.in_transaction = false;
                self.since_commit.clear();
            }
            "COMMIT" | "END" => {
                self.in_transaction = false;
                return Some(self.commit());
            }
            _ if !self.in_transaction => return Some(self.commit()),
            _ => {}
        }
        None
    }

    fn commit(&mut self) -> String {
        self.executed = false;
        std::mem::take(&mut self.since_commit)
    }
}

/// Counts the answers in the server's side of one connection.
#[derive(Default)]
pub(crate) struct Answers {
    unread: Vec<u8>,
    whole: usize,
}

impl Answers {
    /// Takes what the server sent, and tells how many answers are whole by now.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> usize {
        self.unread.extend_from_slice(bytes);
        while let Some(length) = self.unread.get(1..5) {
            let length = length.try_into().map_or(0, u32::from_be_bytes);
            let end = 1 + usize::try_from(length).expect("a length fits");
            if self.unread.len() < end {
                break;
            }
            // Ready for the next query.
            self.whole += usize::from(self.unread[0] == b'Z');
            self.unread.drain(..end);
        }
        self.whole
    }
}
