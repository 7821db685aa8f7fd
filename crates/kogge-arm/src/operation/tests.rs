use std::collections::HashSet;

use super::*;
use crate::property::{Kind, Mutability, Property};

fn find(method: Method, path: &str) -> Route {
    Route::find(&method, path).expect(path)
}

#[test]
fn every_operation_has_a_name_of_its_own_and_finds_itself() {
    let mut names = HashSet::new();
    for operation in operations() {
        assert!(names.insert(&operation.name), "{} is declared twice", operation.name);
        let path = operation.template.to_string();
        let found = find(operation.method.clone(), &path);
        assert_eq!(found.operation.name, operation.name, "{path} belongs to two operations");
    }
}

#[test]
fn a_route_knows_whose_it_is() {
    let registry = "/subscriptions/S/resourceGroups/G/providers/Microsoft.ContainerRegistry/registries/myreg";
    let route = find(Method::PUT, &registry.to_lowercase().replace("/s/", "/S/").replace("/g/", "/G/"));
    assert_eq!(route.operation.name, "Registries_CreateOrUpdate");
    assert_eq!((route.scope.as_str(), route.holder.as_str()), (registry, "/subscriptions/S/resourceGroups/G"));
    assert_eq!((route.name.as_deref(), route.parameter("subscriptionId")), (Some("myreg"), "S"));
    assert_eq!(route.operation.right, Right::Action("Microsoft.ContainerRegistry/registries/write".into()));
    let list = find(Method::GET, "/subscriptions/S/providers/Microsoft.ContainerRegistry/registries");
    assert_eq!(
        (list.operation.name.as_str(), list.scope.as_str()),
        ("Registries_ListBySubscription", "/subscriptions/S")
    );
    let later = find(Method::PUT, &format!("{registry}/webhooks/w"));
    assert!(matches!(later.operation.does, Does::Refuse(_)));
    assert_eq!(later.scope, registry);
    let error = Route::find(&Method::PUT, "/subscriptions/S/resourceGroups").expect_err("no such method");
    assert_eq!((error.status, error.target.as_deref()), (StatusCode::METHOD_NOT_ALLOWED, Some("GET")));
    assert_eq!(Route::find(&Method::GET, "/nothing").expect_err("nothing").status, StatusCode::NOT_FOUND);
}

/// What the constructors of a declaration cannot rule out.
#[test]
fn declarations_are_sound() {
    for ty in TYPES {
        let mut paths = HashSet::new();
        for property in ty.properties() {
            assert!(paths.insert(property.path.to_ascii_lowercase()), "{}: {} twice", ty.name, property.path);
            let inside = format!("{}.", property.path);
            assert!(!ty.properties().any(|other| other.path.starts_with(&inside)), "{} holds another", property.path);
            assert_sound(property);
        }
    }
}

fn assert_sound(property: &Property) {
    let path = property.path;
    if let Some(default) = property.default.as_ref().filter(|_| property.mutability != Mutability::ReadOnly) {
        let admitted = crate::value::admit(property, &default.to_json(), path);
        assert!(admitted.is_ok_and(|value| value == Some(default.to_json())), "{path}: its default is refused");
    }
    if let Kind::Object(inner) = property.kind {
        for property in inner {
            assert!(property.mutability != Mutability::CreateOnly, "{path}: a key is not a register");
            assert_sound(property);
        }
    }
}

#[test]
fn the_document_has_every_operation() {
    let document = crate::openapi::document("0");
    let described: usize = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|path| path.as_object().expect("methods").len())
        .sum();
    assert_eq!(described, operations().len());
}
