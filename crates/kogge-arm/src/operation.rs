//! Every operation of the API, made from the declarations: the router, the rights, the OpenAPI document and the test
//! of authorisation read this one table.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::{Method, StatusCode};

use crate::declaration::{Action, Function, Holder, ResourceType, Right, Verb};
use crate::error::{ArmError, Result};
use crate::functions::FUNCTIONS;
use crate::later::{LATER, Later};
use crate::segment::{self, Template};
use crate::types::TYPES;

/// Something that the API can be asked for.
#[derive(Debug)]
pub struct Operation {
    /// Its id in the OpenAPI document, and its name in metrics and logs: `Registries_Get`.
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) template: Template,
    /// Whether the path of any scope stands before the template.
    pub(crate) scoped: bool,
    pub(crate) right: Right,
    pub(crate) does: Does,
    /// How many segments of the template are the holder's path.
    holder: usize,
    /// How many segments of the template are the path that the right is asked at.
    scope: usize,
}

/// What an operation does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    Verb(&'static ResourceType, Verb),
    Action(&'static Action),
    Function(&'static Function),
    /// List resources that a later version will have: there are none.
    ListNone,
    /// Say that this version has no such feature.
    Refuse(&'static Later),
}

/// What a request asks for, and of what.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: &'static Operation,
    /// The path of what holds the resource, or the resources; `/` is the tenant's.
    pub(crate) holder: String,
    /// The path at which the right is asked.
    pub(crate) scope: String,
    /// The resource's name, if the operation is about one.
    pub(crate) name: Option<String>,
    /// All parameters of the template with their values.
    parameters: Vec<(&'static str, String)>,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let types = TYPES.iter().flat_map(|ty| of_type(ty));
    let functions = FUNCTIONS.iter().map(|function| of_function(function));
    types.chain(functions).chain(LATER.iter().flat_map(of_later)).collect()
});

/// Paths of everything that rights can be given on.
static SCOPES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let holders = [Holder::Tenant, Holder::Subscription].map(base);
    let held = TYPES.iter().filter(|ty| !matches!(ty.holder, Holder::Scope));
    holders.into_iter().chain(held.map(|ty| item(ty))).collect()
});

/// All operations.
pub fn operations() -> &'static [Operation] {
    &OPERATIONS
}

impl Route {
    /// What `method` on `path` asks for.
    ///
    /// # Errors
    /// 400 for a path that cannot be one, 404 for one that is none, 405 for a method that it does not have.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Self> {
        let segments = segment::segments(path)?;
        let mut methods = Vec::new();
        for operation in operations() {
            let Some(prefix) = operation.prefix(&segments) else { continue };
            if operation.method == *method {
                return Ok(Self::new(operation, &prefix, &segments));
            }
            methods.push(operation.method.as_str());
        }
        if methods.is_empty() {
            let message = format!("The requested resource '{path}' does not exist.");
            return Err(ArmError::not_found("NotFound", message));
        }
        let message = format!("The resource does not support http method '{method}'.");
        let error = ArmError::new(StatusCode::METHOD_NOT_ALLOWED, "HttpMethodNotSupported", message);
        Err(error.about(methods.join(", ")))
    }

    fn new(operation: &'static Operation, prefix: &str, segments: &[String]) -> Self {
        let template = &operation.template;
        let own = &segments[segments.len() - template.len()..];
        let path = |length: usize| {
            let path = format!("{prefix}{}", template.first(length).canonical(&own[..length]));
            if path.is_empty() { "/".to_owned() } else { path }
        };
        let parameters = template.values(own).map(|(name, value)| (name, value.to_owned())).collect();
        let name = match operation.does {
            Does::Verb(_, Verb::List | Verb::ListBySubscription) | Does::ListNone | Does::Function(_) => None,
            Does::Verb(..) => own.last().cloned(),
            Does::Action(..) => own.iter().nth_back(1).cloned(),
            Does::Refuse(_) => None,
        };
        Self { operation, holder: path(operation.holder), scope: path(operation.scope), name, parameters }
    }

    /// The value of the template's parameter `name`; empty for one that it does not have.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

impl Operation {
    /// Its id in the OpenAPI document, and its name in metrics and logs: `Registries_Get`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path, parameters in braces; `{scope}` stands for the path of anything that rights are given on.
    pub fn path(&self) -> String {
        if self.scoped { format!("/{{scope}}{}", self.template) } else { self.template.to_string() }
    }

    /// The action that a caller must be allowed; `None` for what anybody may ask.
    pub fn action(&self) -> Option<&str> {
        match &self.right {
            Right::Action(action) => Some(action),
            Right::Anonymous | Right::Authenticated => None,
        }
    }

    /// Whether callers must say who they are.
    pub fn needs_login(&self) -> bool {
        self.right != Right::Anonymous
    }

    /// Whether it lists what several holders have, each with rights of its own: whoever has logged in is answered, with
    /// what he may read.
    pub fn lists_across(&self) -> bool {
        match self.does {
            Does::Verb(ty, Verb::List) => !matches!(ty.holder, Holder::Resource(_)),
            Does::Verb(_, Verb::ListBySubscription) => true,
            Does::Verb(..) | Does::Action(..) | Does::Function(_) | Does::ListNone | Does::Refuse(_) => false,
        }
    }

    /// The path before the template when `segments` are a path of this operation: of the scope, or nothing.
    fn prefix(&self, segments: &[String]) -> Option<String> {
        let (prefix, own) = segments.split_at_checked(segments.len().checked_sub(self.template.len())?)?;
        if !self.template.matches(own) {
            return None;
        }
        match prefix {
            [] => Some(String::new()),
            _ if !self.scoped => None,
            _ => SCOPES.iter().find(|scope| scope.matches(prefix)).map(|scope| scope.canonical(prefix)),
        }
    }
}

/// The path of a holder.
pub(crate) fn base(holder: Holder) -> Template {
    match holder {
        Holder::Tenant | Holder::Scope => Template::default(),
        Holder::Subscription => Template::default().join("/subscriptions/{subscriptionId}"),
        Holder::ResourceGroup => base(Holder::Subscription).join("/resourceGroups/{resourceGroupName}"),
        Holder::Resource(ty) => item(ty),
    }
}

/// The path of a type's resource.
pub(crate) fn item(ty: &ResourceType) -> Template {
    collection(ty).parameter(ty.parameter)
}

/// The path of a type's resources beneath what holds them.
fn collection(ty: &ResourceType) -> Template {
    typed(base(ty.holder), ty)
}

fn typed(base: Template, ty: &ResourceType) -> Template {
    if ty.is_beside_its_holder() { base.join(ty.collection()) } else { base.join("/providers").join(ty.name) }
}

fn of_type(ty: &'static ResourceType) -> Vec<Operation> {
    let (holder, collection, item) = (base(ty.holder).len(), collection(ty), item(ty));
    let verb = |verb: Verb| {
        let (method, word, right) = match verb {
            Verb::Get => (Method::GET, "Get", "read"),
            Verb::Head => (Method::HEAD, "CheckExistence", "read"),
            Verb::Put => (Method::PUT, "CreateOrUpdate", "write"),
            Verb::Patch => (Method::PATCH, "Update", "write"),
            Verb::Delete => (Method::DELETE, "Delete", "delete"),
            Verb::List => (Method::GET, "List", "read"),
            Verb::ListBySubscription => (Method::GET, "ListBySubscription", "read"),
        };
        let (template, holder, scope) = match verb {
            Verb::List => (collection.clone(), holder, holder),
            Verb::ListBySubscription => {
                let subscription = base(Holder::Subscription);
                let length = subscription.len();
                (typed(subscription, ty), length, length)
            }
            _ => (item.clone(), holder, item.len()),
        };
        Operation {
            name: operation_name(ty.collection(), word),
            method,
            template,
            scoped: matches!(ty.holder, Holder::Scope),
            right: right_of(ty.name, right),
            does: Does::Verb(ty, verb),
            holder,
            scope,
        }
    };
    let action = |action: &'static Action| Operation {
        name: operation_name(ty.collection(), action.name),
        method: action.method.clone(),
        template: item.join(action.name),
        scoped: matches!(ty.holder, Holder::Scope),
        right: right_of(ty.name, &action_right(&action.method, action.name)),
        does: Does::Action(action),
        holder,
        scope: item.len(),
    };
    ty.verbs.iter().copied().map(verb).chain(ty.actions.iter().map(action)).collect()
}

fn of_function(function: &'static Function) -> Operation {
    let base = base(function.at);
    let holder = base.len();
    Operation {
        name: function.name.to_owned(),
        method: function.method.clone(),
        template: base.join(function.path),
        scoped: matches!(function.at, Holder::Scope),
        right: function.right.clone(),
        does: Does::Function(function),
        holder,
        scope: holder,
    }
}

fn of_later(later: &'static Later) -> Vec<Operation> {
    let registry = base(Holder::Resource(later.holder));
    let holder = registry.len();
    let operation = |method: Method, template: Template, word: &str, right: &str, does: Does| Operation {
        name: operation_name(later.collection, word),
        method,
        template,
        scoped: false,
        right: right_of(&format!("{}/{}", later.holder.name, later.collection), right),
        does,
        holder,
        scope: holder,
    };
    let refuse = Does::Refuse(later);
    if later.is_action() {
        let right = right_of(later.holder.name, &action_right(&Method::POST, later.collection));
        let name = operation_name(later.holder.collection(), later.collection);
        let template = registry.join(later.collection);
        return vec![Operation { name, right, ..operation(Method::POST, template, "", "", refuse) }];
    }
    let collection = registry.join(later.collection);
    let item = collection.parameter("name");
    let mut found = vec![
        operation(Method::GET, collection, "List", "read", Does::ListNone),
        operation(Method::GET, item.clone(), "Get", "read", refuse),
        operation(Method::PUT, item.clone(), "CreateOrUpdate", "write", refuse),
        operation(Method::PATCH, item.clone(), "Update", "write", refuse),
        operation(Method::DELETE, item.clone(), "Delete", "delete", refuse),
    ];
    found.extend(later.actions.iter().map(|action| {
        let right = action_right(&Method::POST, action);
        operation(Method::POST, item.join(action), action, &right, refuse)
    }));
    found
}

fn right_of(name: &str, right: &str) -> Right {
    Right::Action(Cow::Owned(format!("{name}/{right}")))
}

fn action_right(method: &Method, action: &str) -> String {
    let suffix = if *method == Method::GET { "read" } else { "action" };
    format!("{action}/{suffix}")
}

/// `Registries_ListCredentials`.
fn operation_name(collection: &str, word: &str) -> String {
    let capital =
        |text: &str| text.get(..1).map(str::to_ascii_uppercase).unwrap_or_default() + text.get(1..).unwrap_or("");
    format!("{}_{}", capital(collection), capital(word))
}

#[cfg(test)]
mod tests;
