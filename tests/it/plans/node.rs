//! A plan as EXPLAIN tells it, and what is wrong with it.

use std::fmt;

use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

/// What may appear in the plan of a hot statement. Whatever is not here is a way that grows with the tables.
const ALLOWED: &[&str] = &[
    "Aggregate",
    "Append",
    "CTE Scan",
    "Function Scan",
    "Group",
    "Incremental Sort",
    "Index Only Scan",
    "Index Scan",
    "Limit",
    "LockRows",
    "Materialize",
    "Memoize",
    "Merge Append",
    "ModifyTable",
    "Nested Loop",
    "ProjectSet",
    "Recursive Union",
    "Result",
    "SetOp",
    "Sort",
    "Subquery Scan",
    "Tid Scan",
    "Unique",
    "Values Scan",
    "WindowAgg",
    "WorkTable Scan",
];

/// Tables with a row for each process, queue, claim or task, and not for each job.
const SMALL: &[&str] = &["worker", "queue", "leader", "task", "lease", "progress"];

/// Indexes that hold only what is rare, so that reading all of one is a bounded affair.
const RARE: &[&str] = &["ready_suspect"];

pub(super) struct Plan(Value);

impl Plan {
    pub(super) fn of(answer: &[SimpleQueryMessage]) -> Self {
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(row.expect("a plan")).expect("JSON");
        Self(plan[0]["Plan"].clone())
    }

    /// Each node, and whether a limit above it stops its scan.
    fn nodes(&self) -> Vec<(&Value, bool)> {
        let (mut open, mut all) = (vec![(&self.0, false)], Vec::new());
        while let Some((node, limited)) = open.pop() {
            all.push((node, limited));
            let limits = limited || word(node, "Node Type") == "Limit";
            let below = node["Plans"].as_array().into_iter().flatten();
            // A sort, and a loop's other side, read on whatever the limit says.
            let stops = limits && !["Sort", "Aggregate"].contains(&word(node, "Node Type"));
            open.extend(below.map(|it| (it, stops)));
        }
        all
    }

    pub(super) fn faults_of_a_hot_one(&self) -> Vec<String> {
        self.nodes().into_iter().filter_map(|(node, limited)| fault(node, limited)).collect()
    }

    /// Which of these tables it reads row by row.
    pub(super) fn reads_whole(&self, tables: &[String]) -> Vec<&str> {
        let nodes = self.nodes().into_iter();
        let scans = nodes.filter(|(node, _)| word(node, "Node Type").ends_with("Seq Scan"));
        let tables_read = scans.map(|(node, _)| word(node, "Relation Name"));
        tables_read.filter(|it| tables.iter().any(|table| table == it)).collect()
    }

    /// The indexes that it goes through.
    pub(super) fn indexes(&self) -> Vec<&str> {
        self.nodes().into_iter().map(|(node, _)| word(node, "Index Name")).collect()
    }
}

fn fault(node: &Value, limited: bool) -> Option<String> {
    let (kind, table) = (word(node, "Node Type"), word(node, "Relation Name"));
    if kind == "Seq Scan" && is_small(node) {
        return None;
    }
    if !ALLOWED.contains(&kind) {
        return Some(format!("{kind} {table}"));
    }
    let whole = kind.starts_with("Index") && node["Index Cond"].is_null() && !limited;
    let bounded = is_small(node) || RARE.contains(&word(node, "Index Name"));
    (whole && !bounded).then(|| format!("all of {table} by {}", word(node, "Index Name")))
}

fn is_small(node: &Value) -> bool {
    SMALL.contains(&word(node, "Relation Name"))
}

fn word<'a>(node: &'a Value, name: &str) -> &'a str {
    node[name].as_str().unwrap_or_default()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
