//! Each field of each body, from the OpenAPI document, filled in as somebody mistaken or ill-disposed would.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    table::ROWS,
    world::{Refusal, Shown, World},
};
use crate::openapi;

/// What is put into a field, and what has to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// 422 that points at the field.
    Pointed,
    /// That, or 413: larger than a body may be.
    PointedOrTooLarge,
    /// It may be good; if not, it is refused as any other.
    NoFault,
    /// Whatever it is, the answer is no fault of ours, and a problem if it is a refusal.
    NoTrouble,
}

/// Fields that are not looked at in this world: the set-up is done, the current password comes first, and who has an
/// account needs neither name nor invitation.
const REFUSED_BEFORE: &[(&str, &str)] = &[
    ("set_up", "email"),
    ("set_up", "name"),
    ("set_up", "password"),
    ("update_me", "password"),
    ("join_room", "guest"),
    ("join_room", "invitation"),
    ("join_room", "name"),
];

#[tokio::test]
async fn every_field_of_every_body_refuses_what_it_cannot_be() {
    let mut world = Box::pin(World::new()).await;
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut wrong = Vec::new();
    let (mut fields, mut asked) = (0, 0);
    for row in ROWS.iter().filter(|row| row.name == row.operation()) {
        let Some(whole) = world.good_body(row.name).await else {
            continue;
        };
        // A webhook is a text that is signed; nobody fills in its fields.
        if row.name == "livekit_webhook" {
            continue;
        }
        // Who is in the call, where that is needed; else whoever may do everything.
        let shown = match row.name {
            "write_chat" | "add_quality" => Shown::Owner,
            _ => Shown::Administrator,
        };
        for (kind, schema) in bodies(&document, row.name) {
            for (field, schema) in schema {
                fields += 1;
                for (what, value, mut wanted) in fillings(&document, &schema) {
                    // Whoever logs in is told that it is wrong, and not what.
                    if row.name == "log_in" && wanted == Wanted::PointedOrTooLarge {
                        wanted = Wanted::NoFault;
                    }
                    // A body of several kinds is read before it is known which: the fault is its whole.
                    let is_looked_at = kind.is_none() && !REFUSED_BEFORE.contains(&(row.name, &*field));
                    if !is_looked_at {
                        wanted = Wanted::NoTrouble;
                    }
                    let mut body = whole.clone();
                    if let Some(kind) = &kind {
                        body = json!({"kind": kind});
                    }
                    body[&field] = value;
                    let refusal = world.ask_with(row.name, shown, &body).await;
                    asked += 1;
                    if let Err(why) = judge(wanted, &field, &refusal) {
                        wrong.push(format!("{}, `{field}` {what}: {why}", row.name));
                    }
                }
            }
        }
    }
    assert!(fields > 60 && asked > 400, "{fields} fields, {asked} requests");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

fn judge(wanted: Wanted, field: &str, answer: &Refusal) -> Result<(), String> {
    let told = format!(
        "{} {}",
        answer.status,
        answer.text.chars().take(300).collect::<String>()
    );
    if answer.status.is_server_error() && answer.status != StatusCode::SERVICE_UNAVAILABLE {
        return Err(told);
    }
    if matches!(wanted, Wanted::NoFault | Wanted::NoTrouble) && !answer.status.is_client_error() {
        return Ok(());
    }
    if wanted == Wanted::PointedOrTooLarge && answer.status == StatusCode::PAYLOAD_TOO_LARGE {
        return Ok(());
    }
    if !answer.status.is_client_error() || answer.content_type != "application/problem+json" {
        return Err(told);
    }
    if answer.text.len() > 4096 {
        return Err(format!("{} bytes are told", answer.text.len()));
    }
    if answer.status != StatusCode::UNPROCESSABLE_ENTITY {
        return match wanted {
            Wanted::NoFault | Wanted::NoTrouble => Ok(()),
            _ => Err(told),
        };
    }
    let problem: Value = serde_json::from_str(&answer.text).map_err(|error| error.to_string())?;
    let points = problem["errors"].as_array().is_some_and(|errors| {
        errors.iter().any(|error| {
            let pointer = error["pointer"].as_str().unwrap_or_default();
            pointer == format!("/{field}") || pointer.starts_with(&format!("/{field}/"))
        })
    });
    if points || wanted == Wanted::NoTrouble {
        Ok(())
    } else {
        Err(told)
    }
}

/// The fields of an operation's body, by its `kind` where there are several.
fn bodies(document: &Value, operation: &str) -> Vec<(Option<String>, Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    let found = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .find(|found| found["operationId"] == operation)
        .unwrap();
    let schema = resolved(document, &found["requestBody"]["content"]["application/json"]["schema"]);
    if let Some(properties) = schema["properties"].as_object() {
        return vec![(None, properties.clone())];
    }
    let variants = schema["oneOf"]
        .as_array()
        .unwrap_or_else(|| panic!("{operation}: {schema}"));
    variants
        .iter()
        .map(|variant| {
            let of = resolved(document, &variant["allOf"][0]);
            let kind = variant["allOf"][1]["properties"]["kind"]["enum"][0].as_str().unwrap();
            let properties = of["properties"].as_object().cloned().unwrap_or_default();
            (Some(kind.to_owned()), properties)
        })
        .collect()
}

fn resolved(document: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap().clone(),
        None => schema.clone(),
    }
}

fn fillings(document: &Value, schema: &Value) -> Vec<(String, Value, Wanted)> {
    let schema = resolved(document, schema);
    // What may be left out is written as one of several.
    let schema = match schema["oneOf"].as_array().and_then(|several| several.first()) {
        Some(first) if schema.get("type").is_none() => resolved(document, first),
        _ => schema,
    };
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        // It takes anything.
        _ => return vec![("of every kind".into(), json!({"a": [1]}), Wanted::NoFault)],
    };
    let is = |kind: &str| types.contains(&kind);
    let mut all = Vec::new();
    for (kind, value) in [
        ("string", json!("text")),
        ("integer", json!(3)),
        ("boolean", json!(true)),
        ("array", json!([[[]]])),
        ("object", json!({"no such field": 1})),
    ] {
        // A list of lists, and an object of unknown fields, are wrong for lists and objects too.
        let fits = is(kind) && !matches!(kind, "array" | "object") || (kind == "integer" && is("number"));
        let open = kind == "object" && is("object") && schema["additionalProperties"] != json!(false);
        if !fits && !open {
            all.push((format!("is of another type ({kind})"), value, Wanted::Pointed));
        }
    }
    if is("string") && schema.get("enum").is_none() {
        let text = |length: u64| json!("x".repeat(usize::try_from(length).unwrap()));
        if let Some(most) = schema["maxLength"].as_u64() {
            all.push(("is too long".into(), text(most + 1), Wanted::Pointed));
        }
        if schema["minLength"].as_u64().is_some_and(|least| least > 0) {
            all.push(("is empty".into(), json!(""), Wanted::Pointed));
        } else {
            all.push(("is empty".into(), json!(""), Wanted::NoFault));
        }
        all.push(("is a megabyte".into(), text(1_000_000), Wanted::PointedOrTooLarge));
        all.push(("is two megabytes".into(), text(2_100_000), Wanted::PointedOrTooLarge));
        for (what, value) in [
            ("has a zero in it", "a\u{0}b"),
            ("has control characters", "a\u{1}\u{7f}\u{1b}[31m"),
            ("turns the direction of writing", "a\u{202e}b\u{200b}"),
            ("is emoji", "👩‍👩‍👧‍👦🏳️‍🌈"),
            ("is spaces", "   "),
            (
                "is what programs of other kinds take for commands",
                "'; DROP TABLE users; -- ${jndi:ldap://x} <script>",
            ),
            ("looks like a path", "../../../etc/passwd"),
        ] {
            all.push((what.into(), json!(value), Wanted::NoFault));
        }
    }
    if is("integer") || is("number") {
        for (bound, over) in [("maximum", 1), ("minimum", -1)] {
            if let Some(limit) = schema[bound].as_i64() {
                all.push((format!("is past its {bound}"), json!(limit + over), Wanted::Pointed));
            }
        }
        for (what, value) in [
            ("is below what counts", json!(i64::MIN)),
            ("is above what counts", json!(u64::MAX)),
        ] {
            all.push((what.into(), value, Wanted::Pointed));
        }
        if is("integer") {
            all.push(("is no whole number".into(), json!(1.5), Wanted::Pointed));
        }
    }
    if let Some(most) = schema["maxItems"].as_u64() {
        let item = resolved(document, &schema["items"]);
        if item["type"] == "string" {
            let many = vec!["x"; usize::try_from(most + 1).unwrap()];
            all.push(("has too many items".into(), json!(many), Wanted::Pointed));
        }
    }
    all
}
