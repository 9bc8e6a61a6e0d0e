//! The checks of the SQL door, made from the table of fields: blocks of the functions in
//! `sql/functions`.

use crate::job::clocks::LIMITS;
use crate::job::fields::{FIELDS, Field, Kind, NAMES, Together};
use crate::made;

/// Fields that `job_is_sound` looks at before all others, since most jobs have no more.
const LOOKED_AT_FIRST: [&str; 3] = ["payload", "task", "queue"];

#[test]
fn the_sql_door_has_the_rules_of_the_table() {
    let rules: Vec<String> = FIELDS.iter().flat_map(rules).collect();
    made::holds("sql/functions/submission_fields.sql", "rules", &rules.join(",\n"));
}

#[test]
fn the_sql_door_knows_the_fields_of_the_table() {
    let sound = FIELDS.iter().filter(|field| !LOOKED_AT_FIRST.contains(&field.name));
    let sound = sound.map(|field| sound_fault(field, "job"));
    made::holds("sql/functions/job_is_sound.sql", "sound", &sound.collect::<String>());
    made::holds("sql/functions/job_is_sound.sql", "names", &lines(NAMES));
}

/// Most jobs have none of them, so each has a function of its own.
#[test]
fn the_sql_door_knows_the_members_of_fields_that_are_objects() {
    for field in FIELDS {
        let Kind::Object { members, .. } = field.kind else { continue };
        let file = format!("sql/functions/{}_is_sound.sql", field.name);
        let names: Vec<&str> = members.iter().map(|member| member.name).collect();
        made::holds(&file, "names", &lines(&names));
        let sound = members.iter().map(|member| sound_fault(member, "value"));
        made::holds(&file, "sound", &sound.collect::<String>());
    }
}

#[test]
fn the_sql_door_keeps_the_settings_of_the_table() {
    let settings: Vec<&Field> = FIELDS.iter().filter(|field| field.is_setting).collect();
    let names: Vec<&str> = settings.iter().map(|field| field.name).collect();
    let members: String = settings.into_iter().map(|field| member(field, "job", "    ")).collect();
    let expression = match &names[..] {
        [] => "null::jsonb".to_owned(),
        names => {
            let names = words(names);
            format!("case when job ?| {names} then nullif('{{}}'::jsonb\n{members}  , '{{}}') end")
        }
    };
    let block = format!("  select {expression}");
    made::holds("sql/functions/job_settings.sql", "settings", &block);
}

#[test]
fn the_sql_that_ends_waiting_jobs_knows_the_limits_of_a_life() {
    let names = LIMITS.map(|limit| limit.field);
    made::holds("sql/functions/is_timed.sql", "limits", &lines(&names));
    let errors = LIMITS.map(|it| {
        let [field, code, missed] = [it.field, it.code, it.missed].map(text);
        format!("      ({field}, {code}, {missed})")
    });
    made::holds("sql/functions/limit_error.sql", "errors", &errors.join(",\n"));
}

/// A member of `of` that is given, as the object of its name and its value.
fn member(field: &Field, of: &str, indent: &str) -> String {
    let name = text(field.name);
    let written = format!("{of} ->> {name}");
    let value = match field.kind {
        // One spelling of each value, as the other doors have it.
        Kind::Integer { .. } => format!("({written})::numeric::bigint"),
        Kind::Seconds { .. } | Kind::Number { .. } => format!("reveille.number_kept({written})"),
        Kind::Time => format!("reveille.moment({written})"),
        Kind::Object { members, .. } => {
            let (of, deeper) = (format!("{of} -> {name}"), format!("{indent}    "));
            let members = members.iter().map(|one| member(one, &of, &deeper));
            format!("'{{}}'::jsonb\n{}{indent}  ", members.collect::<String>())
        }
        Kind::Json
        | Kind::Name { .. }
        | Kind::Text { .. }
        | Kind::Choice { .. }
        | Kind::Texts { .. } => format!("{of} -> {name}"),
    };
    format!(
        "{indent}|| case when {written} is null then '{{}}'\n{indent}  else jsonb_build_object({name},\n{indent}    {value}) end\n"
    )
}

/// Names, one a line.
fn lines(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("      {}", text(name))).collect();
    names.join(",\n")
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn words(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| text(word)).collect();
    format!("array[{}]", words.join(", "))
}

/// The rows of a field in `submission_fields`: its own, and those of its members.
fn rules(field: &Field) -> Vec<String> {
    let members = if let Kind::Object { members, .. } = field.kind { members } else { &[] };
    let members = members.iter().map(|one| rule(&format!("{}/{}", field.name, one.name), one));
    std::iter::once(rule(field.name, field)).chain(members).collect()
}

fn rule(name: &str, field: &Field) -> String {
    let none = || "null".to_owned();
    let (mut least, mut most, mut longest, mut list) = (none(), none(), none(), none());
    let kind = match &field.kind {
        Kind::Json => "json",
        Kind::Name { pattern, .. } => {
            list = words(&[pattern]);
            "name"
        }
        Kind::Text { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "text"
        }
        Kind::Choice { of, .. } => {
            list = words(of);
            "choice"
        }
        Kind::Integer { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "integer"
        }
        Kind::Seconds { least: from, most: to } | Kind::Number { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "number"
        }
        Kind::Time => "time",
        Kind::Texts { most: to, longest: of } => {
            (most, longest) = (to.to_string(), of.to_string());
            "list"
        }
        Kind::Object { .. } => "object",
    };
    let (apart, beside) = match field.together {
        None => (none(), none()),
        Some(Together::NotWith(other)) => (text(other), none()),
        Some(Together::OnlyWith(other)) => (none(), text(other)),
        Some(Together::OnlyWhere(other, word)) => (none(), text(&format!("{other}={word}"))),
    };
    let (name, rule) = (text(name), text(&field.kind.rule()));
    format!(
        "    ({name}, '{kind}', {least}, {most}, {longest}, {list},\n      {rule}, {apart}, {beside})"
    )
}

/// Expressions of `job_is_sound`, each true where the member of `of` may have a fault.
fn sound_fault(field: &Field, of: &str) -> String {
    let name = text(field.name);
    let (value, written) = (format!("{of} -> {name}"), format!("{of} ->> {name}"));
    let not_text = format!("not reveille.text_is_sound({value})");
    let mut faults = match &field.kind {
        Kind::Json => vec![],
        Kind::Name { pattern, .. } => {
            vec![not_text, format!("{written} !~ {}", text(pattern))]
        }
        Kind::Text { least, most } => {
            vec![not_text, format!("not length({written}) between {least} and {most}")]
        }
        Kind::Choice { of, .. } => {
            vec![not_text, format!("{written} <> all ({})", words(of))]
        }
        Kind::Integer { least, most } => {
            vec![format!("not reveille.integer_is_sound({value}, {least}, {most})")]
        }
        Kind::Seconds { least, most } | Kind::Number { least, most } => {
            vec![format!("not reveille.number_is_sound({value}, {least}, {most})")]
        }
        Kind::Time => vec![not_text],
        Kind::Texts { most, longest } => {
            vec![format!("not reveille.texts_are_sound({value}, {most}, {longest})")]
        }
        Kind::Object { .. } => vec![format!(
            "case jsonb_typeof({value})\n        when 'object' then not reveille.{}_is_sound({value})\n        when 'null' then false else {of} ? {name} end",
            field.name
        )],
    };
    faults.extend(field.together.map(|rule| match rule {
        Together::NotWith(other) => {
            format!("{written} is not null and {of} ->> {} is not null", text(other))
        }
        Together::OnlyWith(other) => {
            format!("{written} is not null and {of} ->> {} is null", text(other))
        }
        Together::OnlyWhere(other, word) => format!(
            "{written} is not null and {of} ->> {} is distinct from {}",
            text(other),
            text(word)
        ),
    }));
    faults.iter().map(|fault| format!("      or {fault}\n")).collect()
}
