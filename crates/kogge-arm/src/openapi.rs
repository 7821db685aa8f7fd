//! The OpenAPI 3.0 document of the API, from the declarations.

use http::Method;
use serde_json::{Map, Value, json};

use crate::declaration::{Placement, ResourceType, Verb};
use crate::operation::{Does, Operation, operations};
use crate::property::{Kind, Mutability, Property};
use crate::types::TYPES;

/// The document.
pub fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(operation);
    }
    let mut schemas: Map<String, Value> = TYPES.iter().map(|ty| (schema_name(ty), resource(ty))).collect();
    schemas.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Kogge management API", "version": version },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .scoped
        .then_some("scope")
        .into_iter()
        .chain(operation.template.parameters())
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": parameter(name) }))
        .collect();
    parameters.push(json!({ "name": "api-version", "in": "query", "required": true, "schema": { "type": "string" } }));
    let mut described = json!({
        "operationId": operation.name,
        "parameters": parameters,
        "responses": responses(operation),
    });
    if !operation.needs_login() {
        described["security"] = json!([]);
    }
    if let Some(action) = operation.action() {
        described["x-kogge-action"] = json!(action);
    }
    if let Some(schema) = request(operation) {
        described["requestBody"] = json!({ "content": content(&schema), "required": true });
    }
    described
}

/// What may stand for a parameter: the name of a resource, or any text.
fn parameter(name: &str) -> Value {
    match TYPES.iter().find(|ty| ty.parameter == name) {
        Some(ty) => json!({ "type": "string", "pattern": ty.naming.pattern() }),
        None => json!({ "type": "string" }),
    }
}

fn request(operation: &Operation) -> Option<Value> {
    match operation.does {
        Does::Verb(ty, Verb::Put | Verb::Patch) => Some(reference(&schema_name(ty))),
        Does::Action(action) if action.method == Method::POST => Some(object(action.request)),
        Does::Function(function) if function.method == Method::POST => Some(object(function.request)),
        _ => None,
    }
}

fn responses(operation: &Operation) -> Value {
    let answer = |schema: Value| json!({ "description": "Done.", "content": content(&schema) });
    let mut responses = match operation.does {
        Does::Verb(ty, Verb::List | Verb::ListBySubscription) => {
            json!({ "200": answer(page(&reference(&schema_name(ty)))) })
        }
        Does::Verb(ty, Verb::Delete) if operation.scoped => {
            json!({ "200": answer(reference(&schema_name(ty))), "204": { "description": "None." } })
        }
        Does::Verb(_, Verb::Delete) => {
            json!({ "200": { "description": "Deleted." }, "204": { "description": "None." } })
        }
        Does::Verb(_, Verb::Head) => {
            json!({ "204": { "description": "It exists." }, "404": { "description": "None." } })
        }
        Does::Verb(ty, Verb::Put) => {
            let resource = reference(&schema_name(ty));
            json!({ "200": answer(resource.clone()), "201": answer(resource) })
        }
        Does::Verb(ty, Verb::Get | Verb::Patch) => json!({ "200": answer(reference(&schema_name(ty))) }),
        Does::Action(action) => json!({ "200": answer(object(action.response)) }),
        Does::Function(function) => json!({ "200": answer(object(function.response)) }),
        Does::ListNone => json!({ "200": answer(page(&json!({ "type": "object" }))) }),
        Does::Refuse(_) => json!({}),
    };
    responses["default"] = json!({ "description": "Refused or failed.", "content": content(&reference("Error")) });
    responses
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn page(item: &Value) -> Value {
    let link = json!({ "type": "string", "format": "uri" });
    json!({ "type": "object", "properties": { "value": { "type": "array", "items": item }, "nextLink": link } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// `Registry` would need a rule for English; the segment of the path serves: `registries`.
fn schema_name(ty: &ResourceType) -> String {
    ty.collection().to_owned()
}

/// The schema of a resource: its envelope, and its properties at the places that their paths say.
fn resource(ty: &ResourceType) -> Value {
    let read_only = json!({ "type": "string", "readOnly": true });
    let mut root = json!({ "type": "object", "properties": {
        "id": read_only, "name": read_only, "type": read_only, "systemData": { "type": "object", "readOnly": true },
    } });
    if ty.placement == Placement::Tracked {
        root["properties"]["location"] = json!({ "type": "string" });
        root["required"] = json!(["location"]);
    }
    for property in ty.properties() {
        let mut place = &mut root;
        let mut path = property.path;
        while let Some((first, rest)) = path.split_once('.') {
            place = &mut place["properties"][first];
            if place.is_null() {
                *place = json!({ "type": "object", "properties": {} });
            }
            path = rest;
        }
        add(place, path, property);
    }
    root
}

fn object(properties: &[Property]) -> Value {
    let mut schema = json!({ "type": "object", "properties": {} });
    for property in properties {
        add(&mut schema, property.path, property);
    }
    schema
}

fn add(object: &mut Value, key: &str, property: &Property) {
    let mut schema = schema(&property.kind);
    match property.mutability {
        Mutability::ReadOnly => schema["readOnly"] = json!(true),
        Mutability::CreateOnly => schema["x-ms-mutability"] = json!(["create", "read"]),
        Mutability::Mutable | Mutability::Aside => {}
    }
    if let Some(default) = &property.default {
        schema["default"] = default.to_json();
    }
    object["properties"][key] = schema;
    if property.required {
        if let Some(required) = object["required"].as_array_mut() {
            required.push(json!(key));
        } else {
            object["required"] = json!([key]);
        }
    }
}

fn schema(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Text { max } => json!({ "type": "string", "maxLength": max }),
        Kind::Enum(words) => json!({ "type": "string", "enum": words }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::ResourceId => json!({ "type": "string", "format": "arm-id" }),
        Kind::List { of, max } => json!({ "type": "array", "items": schema(of), "maxItems": max }),
        Kind::Map { entries, value, .. } => {
            let text = json!({ "type": "string", "maxLength": value });
            json!({ "type": "object", "additionalProperties": text, "maxProperties": entries })
        }
        Kind::Object(properties) => object(properties),
    }
}

fn error() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "properties": { "error": { "type": "object", "properties": {
        "code": text, "message": text, "target": text,
        "details": { "type": "array", "items": { "type": "object" } },
    } } } })
}

#[cfg(test)]
mod tests;
