//! Listings of role assignments: those at a scope with those above, whose rights reach down to it, and those beneath.

use kogge_core::kind;
use kogge_meta::{Resource, Snapshot};
use kogge_types::{ResourceId, limits};

use crate::error::Result;
use crate::term::{Term, refusal, terms};
use crate::types::authorization::above;
use crate::types::role_assignment::principal_of;

/// What a listing asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whether assignments beneath the scope are left out.
    at_scope: bool,
    /// Whose assignments.
    principal: Option<ResourceId>,
    /// Whose, with those of the principal's groups.
    assigned_to: Option<ResourceId>,
}

impl Asked {
    /// # Errors
    /// `InvalidFilterInQueryString` for anything but `atScope()`, `principalId eq '…'` and `assignedTo('…')`.
    pub(super) fn read(filter: Option<&str>) -> Result<Self> {
        let mut asked = Self::default();
        let Some(text) = filter else { return Ok(asked) };
        let id = |id: &str| id.parse::<ResourceId>().map_err(|_| refusal(text));
        for term in terms(text)? {
            match &term {
                Term::Call { name, argument: Some(argument) } if name == "assignedto" => {
                    asked.assigned_to = Some(id(argument)?);
                }
                term if term.is_call("atscope") => asked.at_scope = true,
                term => asked.principal = Some(id(term.equals("principalid").ok_or_else(|| refusal(text))?)?),
            }
        }
        Ok(asked)
    }
}

/// A listing under way.
#[derive(Debug)]
pub(super) struct Listing {
    /// Paths in lower case, the widest first; the last is the one that was asked about.
    scopes: Vec<String>,
    at_scope: bool,
    /// Whose assignments are listed; `None` for everybody's.
    principals: Option<Vec<ResourceId>>,
}

/// Assignments, and where the page ended if there are more.
pub(super) type Page = (Vec<Resource>, Option<Vec<String>>);

impl Listing {
    /// `scope` is a path in lower case.
    pub(super) fn new(snapshot: &Snapshot<'_>, scope: String, asked: Asked) -> Result<Self> {
        let Asked { at_scope, principal, assigned_to } = asked;
        let mut principals = principal.map(|principal| vec![principal]);
        if let Some(id) = assigned_to {
            let groups = snapshot.principals()?.into_iter().filter(|group| group.members.contains(id.as_bytes()));
            let mut held: Vec<_> = groups.map(|group| ResourceId::from_bytes(group.id)).chain([id]).collect();
            held.retain(|id| principals.as_ref().is_none_or(|principals| principals.contains(id)));
            principals = Some(held);
        }
        let scopes = above(&scope).into_iter().chain([scope]).collect();
        Ok(Self { scopes, at_scope, principals })
    }

    /// At most `top` assignments after the one at `after`, a scope and a name.
    pub(super) fn page(&self, snapshot: &Snapshot<'_>, after: &[String], top: usize) -> Result<Page> {
        let (mut found, mut rows_left) = (Vec::new(), limits::LISTING_ROWS_MAX);
        let mut after = match after {
            [scope, name] => Some((scope.clone(), name.clone())),
            _ => None,
        };
        let last = self.scopes.len() - 1;
        let first = after.as_ref().and_then(|(at, _)| self.scopes.iter().position(|scope| scope == at));
        let first = first.unwrap_or(if after.is_some() { last } else { 0 });
        for (number, scope) in self.scopes.iter().enumerate().skip(first) {
            let with_beneath = number == last && !self.at_scope;
            loop {
                let from = after.as_ref().map(|(parent, name)| (parent.as_str(), name.as_str()));
                let limit = top.min(rows_left).max(1);
                let rows = snapshot.resources(kind::ROLE_ASSIGNMENT, scope, from, limit)?;
                let mut is_over = rows.len() < limit;
                for row in rows {
                    if !with_beneath && row.parent != *scope {
                        is_over = true;
                        break;
                    }
                    rows_left = rows_left.saturating_sub(1);
                    let passed = (row.parent.clone(), row.name.clone());
                    if self.is_asked(&row) {
                        found.push(row);
                    }
                    if found.len() == top || rows_left == 0 {
                        return Ok((found, Some(vec![passed.0, passed.1])));
                    }
                    after = Some(passed);
                }
                if is_over {
                    break;
                }
            }
            after = None;
        }
        Ok((found, None))
    }

    fn is_asked(&self, assignment: &Resource) -> bool {
        match &self.principals {
            None => true,
            Some(principals) => principal_of(assignment).is_some_and(|id| principals.contains(&id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_assignments() {
        let id = ResourceId::from_bytes([7; 16]);
        let check = |filter: &str, expected: Asked| assert_eq!(Asked::read(Some(filter)).expect(filter), expected);
        check("atScope()", Asked { at_scope: true, ..Asked::default() });
        check(&format!("principalId eq '{id}'"), Asked { principal: Some(id), ..Asked::default() });
        let both = Asked { at_scope: true, assigned_to: Some(id), principal: None };
        check(&format!("atScope() and assignedTo('{id}')"), both);
        assert_eq!(Asked::read(None).expect("none"), Asked::default());
        for bad in ["principalId eq 'me'", "assignedTo()", "assignedTo('me')", "atScope('x')", "roleName eq 'x'"] {
            assert_eq!(Asked::read(Some(bad)).expect_err(bad).code, "InvalidFilterInQueryString", "{bad}");
        }
    }
}
