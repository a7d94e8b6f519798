//! The API's description, for programs and people.

use std::{collections::HashMap, sync::LazyLock};

use axum::{Router, http::Method};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, ContentBuilder, RefOr, Required, ResponseBuilder,
        path::{Operation, Parameter, ParameterIn},
        schema::{Ref, Schema},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    problem::{FieldError, Problem},
    services::App,
    v1,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Greffier",
        description = "Recording without decoding, rooms and calls, beside a LiveKit server.\n\n\
            Errors are `application/problem+json` (RFC 9457); programs go by `code`. Times are RFC 3339 in UTC. Lists \
            answer `items` and, if there is more, `next_cursor`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem, FieldError)),
    modifiers(&Security),
    tags(
        (name = "recordings", description = "What was, is and will be recorded"),
        (name = "renders", description = "Files made from recordings"),
        (name = "files", description = "Bytes, with ranges"),
        (name = "accounts", description = "Logging in, and one's own account"),
        (name = "people", description = "People, and inviting them"),
        (name = "keys", description = "API keys"),
        (name = "rooms", description = "Rooms, tokens for them, and what goes on in them"),
        (name = "invitations", description = "Links into rooms, and the waiting room"),
        (name = "moderation", description = "What moderators do"),
        (name = "calls", description = "Who met whom, when, and how well it went"),
        (name = "notifications", description = "What one is told: lists, streams, pushes"),
        (name = "calendar", description = "Meetings for calendar programs"),
        (name = "administration", description = "What concerns the whole installation"),
        (name = "loadtests", description = "How many meetings the server carries"),
        (name = "server", description = "How the server is, and what it is told"),
    )
)]
struct Document;

/// The OpenAPI 3.1 document of everything the API has.
pub fn document() -> utoipa::openapi::OpenApi {
    with_document(v1::routes()).1
}

pub(crate) fn with_document(routes: OpenApiRouter<App>) -> (Router<App>, utoipa::openapi::OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(routes)
        .split_for_parts();
    open_parts(&mut document);
    let empty_will_do = without_required(&document);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
            &mut item.put,
        ];
        for operation in operations.into_iter().flatten() {
            add_problems(operation);
            name_problems(operation);
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && body.content.values().any(|content| refers_to(content, &empty_will_do))
            {
                // What is left out altogether is an empty object.
                body.required = Some(Required::False);
            }
        }
        for writing in [&mut item.post, &mut item.patch, &mut item.delete, &mut item.put]
            .into_iter()
            .flatten()
        {
            add_problem(writing, "507", "There is not enough room on the server's disk");
        }
        if let Some(creating) = &mut item.post {
            add_problem(creating, "400", "The body is not JSON, or `Idempotency-Key` is not one");
            add_problem(creating, "413", "The body is too large");
            add_problem(
                creating,
                "409",
                "Things are not as this needs them, or the same request is under way",
            );
        }
    }
    (routes, document)
}

/// Names of the schemas of objects that need no field.
fn without_required(document: &utoipa::openapi::OpenApi) -> Vec<String> {
    let schemas = document.components.iter().flat_map(|components| &components.schemas);
    schemas
        .filter(|(_, schema)| matches!(schema, RefOr::T(Schema::Object(object)) if object.required.is_empty()))
        .map(|(name, _)| name.clone())
        .collect()
}

fn refers_to(content: &RefOr<Content>, names: &[String]) -> bool {
    let RefOr::T(content) = content else { return false };
    match &content.schema {
        Some(RefOr::Ref(reference)) => names
            .iter()
            .any(|name| reference.ref_location.strip_prefix("#/components/schemas/") == Some(name)),
        _ => false,
    }
}

/// Problems have a media type of their own, wherever an operation tells of one.
fn name_problems(operation: &mut Operation) {
    let problem = ["Problem".to_owned()];
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = response
            .content
            .get("application/json")
            .is_some_and(|content| refers_to(content, &problem));
        if is_problem && let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

/// A schema that is one part of a whole must let the other parts' fields be: else nothing would be right for all of them.
fn open_parts(document: &mut utoipa::openapi::OpenApi) {
    let Some(components) = &mut document.components else {
        return;
    };
    let of_one = |schema: &RefOr<Schema>| match schema {
        RefOr::T(Schema::OneOf(several)) => several.items.clone(),
        _ => Vec::new(),
    };
    let parts: Vec<String> = components
        .schemas
        .values()
        .flat_map(of_one)
        .filter_map(|variant| match variant {
            RefOr::T(Schema::AllOf(parts)) => Some(parts.items),
            _ => None,
        })
        .flatten()
        .filter_map(|part| match part {
            RefOr::Ref(reference) => Some(reference.ref_location.rsplit('/').next()?.to_owned()),
            RefOr::T(_) => None,
        })
        .collect();
    for part in parts {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(&part) {
            object.additional_properties = None;
        }
    }
}

/// What a route's verb is called; `None` for what is no part of the API.
pub(crate) fn operation_id(method: &Method, route: &str) -> Option<&'static str> {
    static IDS: LazyLock<HashMap<(Method, String), String>> = LazyLock::new(|| {
        let mut ids = HashMap::new();
        for (path, item) in document().paths.paths {
            let verbs = [
                (Method::GET, item.get),
                (Method::POST, item.post),
                (Method::PATCH, item.patch),
                (Method::PUT, item.put),
                (Method::DELETE, item.delete),
            ];
            for (verb, operation) in verbs {
                if let Some(id) = operation.and_then(|operation| operation.operation_id) {
                    ids.insert((verb, path.clone()), id);
                }
            }
        }
        ids
    });
    let verb = if method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    IDS.get(&(verb, route.to_owned())).map(String::as_str)
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key, or an access token of the LiveKit server"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
}

/// What may go wrong anywhere; each operation says itself what else.
fn add_problems(operation: &mut Operation) {
    let is_open = operation.security.as_ref().is_some_and(Vec::is_empty)
        || operation
            .security
            .as_ref()
            .is_some_and(|needs| needs == &[SecurityRequirement::default()]);
    let has_body = operation.request_body.is_some();
    let named =
        |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(one) if one.parameter_in == ParameterIn::Path);
    let names_something = operation.parameters.iter().flatten().any(named);
    let always = [
        ("401", "The key or token is missing or not valid", !is_open),
        ("403", "The key or token does not allow it", !is_open),
        ("400", "The body is not JSON", has_body),
        ("404", "There is no such thing", names_something),
        ("413", "The body is too large", has_body),
        ("415", "The body is of another type", has_body),
        ("422", "A parameter or field is not as it must be", true),
        ("429", "Too many requests: `Retry-After` says when to try again", true),
        ("500", "A fault of the server", true),
        ("503", "Something it needs cannot be reached now", true),
    ];
    for (status, description, applies) in always {
        if applies {
            add_problem(operation, status, description);
        }
    }
}

/// Unless the operation says something of this status itself.
fn add_problem(operation: &mut Operation, status: &str, description: &str) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build();
    let responses = &mut operation.responses.responses;
    responses.entry(status.to_owned()).or_insert(response.into());
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use serde_json::Value;

    use super::*;

    /// `UPDATE=1` writes it anew; the web application's types are made from it.
    #[test]
    fn the_written_document_is_the_true_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let mut current = document().to_pretty_json().unwrap();
        current.push('\n');
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &current).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap();
        assert!(
            written == current,
            "api/openapi.json is not what the API is; run this test with UPDATE=1"
        );
    }

    /// Whether a media type, or the schema it refers to, shows what it looks like.
    fn has_example(document: &Value, media: &Value) -> bool {
        let own = media.get("example").or_else(|| media.get("examples"));
        let schema = media["schema"]["$ref"]
            .as_str()
            .and_then(|name| document.pointer(name.trim_start_matches('#')));
        let of_schema = schema.and_then(|schema| schema.get("example").or_else(|| schema.get("examples")));
        own.is_some() || of_schema.is_some()
    }

    #[test]
    fn every_body_and_the_main_answers_have_an_example() {
        const MAIN: [&str; 9] = [
            "create_room",
            "get_room",
            "join_room",
            "livekit_token",
            "create_invitation",
            "poll_waiting",
            "get_call",
            "list_call_events",
            "list_removed",
        ];
        let document = serde_json::to_value(document()).unwrap();
        let (mut bodies, mut answers) = (0, 0);
        for (path, item) in document["paths"].as_object().unwrap() {
            for (verb, operation) in item.as_object().unwrap() {
                for (kind, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                    bodies += 1;
                    assert!(has_example(&document, media), "{verb} {path} ({kind}) shows no body");
                }
                if !MAIN.contains(&operation["operationId"].as_str().unwrap()) {
                    continue;
                }
                let good = |status: &String| status.starts_with('2');
                let answered = operation["responses"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .filter(|(status, _)| good(status));
                for media in answered
                    .filter_map(|(_, answer)| answer["content"].as_object())
                    .flat_map(|all| all.values())
                {
                    let items = media["schema"]["$ref"].as_str().and_then(|name| {
                        let page = document.pointer(name.trim_start_matches('#'))?;
                        page.pointer("/properties/items/items")
                    });
                    let shown = match items {
                        Some(item) => {
                            has_example(&document, &serde_json::json!({ "schema": item }))
                                || item.get("example").is_some()
                        }
                        None => has_example(&document, media),
                    };
                    answers += 1;
                    assert!(shown, "{verb} {path} shows no answer");
                }
            }
        }
        assert!(
            bodies >= 24 && answers >= MAIN.len(),
            "{bodies} bodies, {answers} answers"
        );
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        found.push(reference.clone());
                    }
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = serde_json::to_value(document()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        found.retain(|reference| document.pointer(&reference[1..]).is_none());
        assert!(found.is_empty(), "nothing is there for {found:?}");
    }

    #[test]
    fn problems_are_described_by_their_media_type() {
        let mut problems = 0;
        for (path, item) in document().paths.paths {
            for operation in [item.get, item.post, item.patch, item.delete].into_iter().flatten() {
                for (status, response) in operation.responses.responses {
                    let RefOr::T(response) = response else { continue };
                    for (kind, content) in response.content {
                        if refers_to(&content, &["Problem".to_owned()]) {
                            assert_eq!(kind, "application/problem+json", "{path} {status}");
                            problems += 1;
                        }
                    }
                }
            }
        }
        assert!(problems > 500, "{problems}");
    }

    #[test]
    fn a_body_may_be_left_out_where_no_field_is_needed() {
        let document = serde_json::to_value(document()).unwrap();
        let required = |path: &str, verb: &str| document["paths"][path][verb]["requestBody"]["required"].clone();
        assert_eq!(required("/api/me", "patch"), false);
        assert_eq!(required("/api/auth/login", "post"), true);
    }

    /// Generators of clients find no value that fits otherwise.
    #[test]
    fn a_render_can_be_ordered_as_it_is_described() {
        let document = serde_json::to_value(document()).unwrap();
        for part in ["TracksRequest", "CompositeRequest", "AudioRequest", "ExportRequest"] {
            let schema = &document["components"]["schemas"][part];
            assert!(schema["properties"].is_object(), "{part}");
            assert_eq!(
                schema.get("additionalProperties"),
                None,
                "`kind` would not be allowed in {part}"
            );
        }
    }

    #[test]
    fn every_operation_says_what_it_is_and_who_may() {
        let document = document();
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post, &item.patch, &item.delete].into_iter().flatten() {
                assert!(operation.summary.is_some(), "{path} says nothing");
                assert!(operation.operation_id.is_some(), "{path} has no name");
                assert!(
                    operation.tags.as_ref().is_some_and(|tags| tags.len() == 1),
                    "{path} belongs nowhere"
                );
            }
        }
    }
}
