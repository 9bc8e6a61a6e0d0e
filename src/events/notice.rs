//! Notices: what the database and the instances tell each other over one channel. This is the wire
//! format, written and read here. Statements and triggers write some notices themselves, and a test
//! compares their words with these.
//!
//! Any role that may connect can notify, of anything and as often as it likes. So a notice only has
//! something looked at, and what it asks for is bounded. A cancellation is believed: it names a
//! lease, whose id is random and known to the service alone until the job is cancelled.
//!
//! Releases roll: words stay as they are, and an unknown one is ignored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use uuid::Uuid;

use crate::job::{JobId, LeaseId};
use crate::queue::{Lane, PRIORITIES, QueueName, TaskName};

/// Ids in one notice: a payload has less than 8,000 bytes, and an id takes 23.
pub(crate) const IDS_MOST: usize = 300;

const LANE: &str = "lane";
const QUEUE: &str = "queue";
const KEYED: &str = "keyed";
const PAUSE: &str = "pause";
const SETTINGS: &str = "settings";
const SUSPECTS: &str = "suspects";
const EXPIRY: &str = "expiry";
const OPERATION: &str = "operation";
const CANCEL: &str = "cancel";
const ENDED: &str = "ended";
const CANARY: &str = "canary";
/// In the place of ids: some jobs, not named.
const SOME: &str = "*";

/// One notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// A lane has jobs that are due, or will be soon.
    Lane(Lane),
    /// Any lane of this queue may have jobs.
    Queue(QueueName),
    /// Jobs of this queue may have a turn among those of their keys.
    Keyed(QueueName),
    /// The queue was paused.
    Pause(QueueName),
    /// The settings of queues were changed.
    Settings,
    /// A suspect waits.
    Suspects,
    /// A job ends by itself earlier than the others that do.
    Expiry,
    /// An operation on many jobs was asked for.
    Operation,
    /// The cancellation of a running job was asked for.
    Cancel(LeaseId, JobId),
    /// These jobs have ended.
    Ended(Vec<JobId>),
    /// Jobs have ended, too many to name.
    SomeEnded,
    /// A listener listens for itself.
    Canary(Uuid),
}

impl Notice {
    /// Of jobs that have ended: named if they are few.
    pub(crate) fn of_ended(ids: Vec<JobId>) -> Self {
        if ids.len() > IDS_MOST { Self::SomeEnded } else { Self::Ended(ids) }
    }

    /// Reads a payload. `None`: it is not a notice that this release knows.
    pub(crate) fn parse(payload: &str) -> Option<Self> {
        let mut words = payload.split(' ');
        Some(match words.next()? {
            LANE => Self::Lane(Lane {
                queue: QueueName::new(words.next()?)?,
                task: TaskName::new(words.next()?)?,
                priority: words.next()?.parse().ok().filter(|it| PRIORITIES.contains(it))?,
            }),
            QUEUE => Self::Queue(QueueName::new(words.next()?)?),
            KEYED => Self::Keyed(QueueName::new(words.next()?)?),
            PAUSE => Self::Pause(QueueName::new(words.next()?)?),
            SETTINGS => Self::Settings,
            SUSPECTS => Self::Suspects,
            EXPIRY => Self::Expiry,
            OPERATION => Self::Operation,
            CANCEL => {
                let (lease, job) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Self::Cancel(LeaseId(lease), JobId(job))
            }
            ENDED => match words.next()? {
                SOME => Self::SomeEnded,
                ids => Self::Ended(ids.split(',').filter_map(short_id).collect()),
            },
            CANARY => Self::Canary(words.next()?.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane(Lane { queue, task, priority }) => {
                write!(out, "{LANE} {queue} {task} {priority}")
            }
            Self::Queue(queue) => write!(out, "{QUEUE} {queue}"),
            Self::Keyed(queue) => write!(out, "{KEYED} {queue}"),
            Self::Pause(queue) => write!(out, "{PAUSE} {queue}"),
            Self::Settings => out.write_str(SETTINGS),
            Self::Suspects => out.write_str(SUSPECTS),
            Self::Expiry => out.write_str(EXPIRY),
            Self::Operation => out.write_str(OPERATION),
            Self::Cancel(lease, job) => write!(out, "{CANCEL} {lease} {job}"),
            Self::Ended(ids) => {
                let short = |id: &JobId| STANDARD_NO_PAD.encode(id.0.as_bytes());
                write!(out, "{ENDED} {}", ids.iter().map(short).collect::<Vec<_>>().join(","))
            }
            Self::SomeEnded => write!(out, "{ENDED} {SOME}"),
            Self::Canary(id) => write!(out, "{CANARY} {id}"),
        }
    }
}

fn short_id(text: &str) -> Option<JobId> {
    Uuid::from_slice(&STANDARD_NO_PAD.decode(text).ok()?).ok().map(JobId)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn samples() -> Vec<Notice> {
        let queue = QueueName::new("mail").expect("a name");
        let task = TaskName::new("Send:it").expect("a name");
        let (lease, job) = (LeaseId(Uuid::new_v4()), JobId(Uuid::now_v7()));
        let full = (0..IDS_MOST).map(|_| JobId(Uuid::now_v7())).collect();
        vec![
            Notice::Lane(Lane { queue: queue.clone(), task, priority: 9 }),
            Notice::Queue(queue.clone()),
            Notice::Keyed(queue.clone()),
            Notice::Pause(queue),
            Notice::Settings,
            Notice::Suspects,
            Notice::Expiry,
            Notice::Operation,
            Notice::Cancel(lease, job),
            Notice::Ended(vec![job]),
            Notice::of_ended(full),
            Notice::of_ended(vec![job; IDS_MOST + 1]),
            Notice::Canary(Uuid::new_v4()),
        ]
    }

    #[test]
    fn a_notice_fits_a_payload_and_is_read_as_it_was_written() {
        for notice in samples() {
            let payload = notice.to_string();
            assert!(payload.len() < 8000, "{}", payload.len());
            assert_eq!(Notice::parse(&payload), Some(notice), "{payload}");
        }
    }

    #[test]
    fn what_is_not_a_notice_is_ignored() {
        for text in [
            "",
            "nonsense 7",
            "lane mail send",
            "lane MAIL send 5",
            "lane mail send 10",
            "lane mail send -1",
            "cancel 1 2",
            "ended",
        ] {
            assert_eq!(Notice::parse(text), None, "{text:?}");
        }
        assert_eq!(Notice::parse("ended nonsense,*"), Some(Notice::Ended(Vec::new())));
    }

    #[test]
    fn what_statements_and_triggers_notify_of_are_words_of_a_notice() {
        let known: Vec<String> = samples().iter().map(ToString::to_string).collect();
        let known: Vec<&str> = known.iter().filter_map(|text| text.split(' ').next()).collect();
        let (mut said, mut folders) =
            (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of this repository") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    // Applied migrations are history; `schema.sql` has what came of them.
                    folders.extend((!path.ends_with("migrations")).then_some(path));
                    continue;
                }
                let text = fs::read_to_string(&path).expect("a text");
                let notified = text.split("pg_notify('reveille', '").skip(1);
                said.extend(
                    notified.filter_map(|rest| rest.split([' ', '\'']).next().map(str::to_owned)),
                );
            }
        }
        for word in ["lane", "queue", "keyed", "cancel", "suspects", "expiry"] {
            assert!(said.iter().any(|it| it == word), "no statement notifies of {word}: {said:?}");
        }
        let strange: Vec<&String> =
            said.iter().filter(|it| !known.contains(&it.as_str())).collect();
        assert!(strange.is_empty(), "nobody reads notices of {strange:?}");
    }
}
