//! Carries a bulk request out, step by step: what is referred to is created first, and of resources that refer to each other in a
//! circle (RFC 7644 §3.7.1) the last reference is added when everything is there.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Map, Value, json};

use super::reference::{self, Meaning};
use super::{Bulk, Method, Operation};
use crate::error::{Error, Result};
use crate::schema::{self, ResourceType};

/// The state of a bulk request on its way. Take a step with [`Run::next`], do it, say with [`Run::done`] what came of it, until there
/// is none; then send [`Run::response`] with status 200.
#[derive(Debug)]
pub struct Run {
    bulk: Bulk,
    /// Without a slash at its end.
    base_url: String,
    /// Still to be done, by their places in the request, in this order.
    order: VecDeque<usize>,
    /// Which operation has a `bulkId`.
    created_by: HashMap<String, usize>,
    results: Vec<Option<Done>>,
    errors: Vec<Option<Error>>,
    deferred: Vec<Deferred>,
    /// The operation of the step that was taken last, and whether it completes one.
    taken: Option<(usize, bool)>,
}

/// A PATCH with which an operation is to be completed.
#[derive(Debug)]
struct Deferred {
    of: usize,
    patch: Value,
    /// The operations that it refers to.
    refers_to: Vec<usize>,
}

/// One request to carry out as if it had come alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub method: Method,
    pub resource: ResourceType,
    /// Absent only with POST.
    pub id: Option<String>,
    /// Stands for an `If-Match` header; see [`crate::render::matches_version`].
    pub version: Option<String>,
    /// The body, with ids in the place of references; null with DELETE.
    pub data: Value,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub id: String,
    /// As for [`crate::render::Meta`]; absent after DELETE.
    pub version: Option<String>,
}

impl Run {
    /// `base_url` is the URL below which `/Users` stands.
    pub fn new(bulk: Bulk, base_url: &str) -> Self {
        let count = bulk.operations.len();
        let created_by: HashMap<String, usize> = (0..count)
            .filter(|at| bulk.operations[*at].method == Some(Method::Post))
            .filter_map(|at| Some((bulk.operations[at].bulk_id.clone()?, at)))
            .collect();
        Self {
            order: ordered(&bulk.operations, &created_by),
            created_by,
            results: vec![None; count],
            errors: vec![None; count],
            deferred: Vec::new(),
            taken: None,
            base_url: base_url.trim_end_matches('/').to_owned(),
            bulk,
        }
    }

    /// What to do next. Operations that cannot be done at all are passed over here, with their errors.
    #[expect(clippy::should_implement_trait, reason = "each step waits for the outcome of the one before")]
    pub fn next(&mut self) -> Option<Step> {
        while !self.is_over() {
            if let Some(due) = self.due() {
                match self.completion(&due) {
                    Ok(step) => return Some(self.take(due.of, true, step)),
                    Err(error) => self.errors[due.of] = Some(error),
                }
                continue;
            }
            let at = self.order.pop_front()?;
            match self.step(at) {
                Ok(step) => return Some(self.take(at, false, step)),
                Err(error) => self.errors[at] = Some(error),
            }
        }
        None
    }

    /// What came of the step that [`Run::next`] returned last.
    pub fn done(&mut self, outcome: Result<Done>) {
        let Some((at, completes)) = self.taken.take() else { return };
        match outcome {
            Ok(done) => self.results[at] = Some(done),
            Err(error) => self.errors[at] = Some(error),
        }
        if self.errors[at].is_some() && !completes {
            self.deferred.retain(|deferred| deferred.of != at);
        }
    }

    /// The BulkResponse body: one entry per operation that was tried, in the order of the request.
    pub fn response(mut self) -> Value {
        for Deferred { of, .. } in std::mem::take(&mut self.deferred) {
            let detail = "it was created, but without its references: other operations failed before they could be set";
            self.errors[of] = Some(Error::status(409, detail));
        }
        let tried = (0..self.bulk.operations.len()).filter_map(|at| self.entry(at)).collect::<Vec<_>>();
        json!({ "schemas": [schema::BULK_RESPONSE], "Operations": tried })
    }

    /// `failOnErrors` of RFC 7644 §3.7: so many errors end it.
    fn is_over(&self) -> bool {
        let errors = self.errors.iter().flatten().count();
        self.bulk.fail_on_errors.is_some_and(|most| errors as u64 >= most)
    }

    fn take(&mut self, at: usize, completes: bool, step: Step) -> Step {
        self.taken = Some((at, completes));
        step
    }

    /// A completion whose references all have come to something.
    fn due(&mut self) -> Option<Deferred> {
        let settled = |at: &usize| self.results[*at].is_some() || self.errors[*at].is_some();
        let place = self.deferred.iter().position(|deferred| deferred.refers_to.iter().all(settled))?;
        Some(self.deferred.remove(place))
    }

    fn completion(&self, Deferred { of, patch, .. }: &Deferred) -> Result<Step> {
        let order = self.bulk.operations[*of].order.as_ref().map_err(Clone::clone)?;
        Ok(Step {
            method: Method::Patch,
            resource: order.resource,
            id: self.results[*of].as_ref().map(|done| done.id.clone()),
            version: None,
            data: reference::resolve(patch, &|id| self.meaning(id))?,
        })
    }

    fn step(&mut self, at: usize) -> Result<Step> {
        let operation = &self.bulk.operations[at];
        let order = operation.order.as_ref().map_err(Clone::clone)?;
        let method = operation.method.ok_or_else(|| Error::invalid_syntax("`method` is missing"))?;
        let meaning = |id: &str| self.meaning(id);
        let id = match &order.id {
            None => None,
            Some(id) => Some(reference::resolved(id, &meaning)?.unwrap_or_else(|| id.clone())),
        };
        let (now, patch) = match method {
            Method::Post => reference::deferred(&order.data, &meaning),
            Method::Put | Method::Patch | Method::Delete => (order.data.clone(), None),
        };
        let data = reference::resolve(&now, &meaning)?;
        let deferred = match patch {
            None => None,
            Some(patch) => {
                let mut found = BTreeSet::new();
                reference::all(&patch, &mut found);
                // What refers to nothing, or to what failed, is refused before anything is created.
                for id in found.iter().filter(|id| meaning(id) != Meaning::Later) {
                    reference::known(meaning(id))?;
                }
                let refers_to = found.into_iter().filter_map(|id| self.created_by.get(id).copied()).collect();
                Some(Deferred { of: at, patch, refers_to })
            }
        };
        let step = Step { method, resource: order.resource, id, version: order.version.clone(), data };
        self.deferred.extend(deferred);
        Ok(step)
    }

    fn meaning(&self, id: &str) -> Meaning<'_> {
        let Some(&at) = self.created_by.get(id) else { return Meaning::Unknown };
        match (&self.results[at], &self.errors[at]) {
            (Some(done), _) => Meaning::Id(&done.id),
            (None, Some(_)) => Meaning::Failed,
            (None, None) => Meaning::Later,
        }
    }

    /// RFC 7644 §3.7: `location` is of every operation but a POST that failed, and an error is repeated as its own response.
    fn entry(&self, at: usize) -> Option<Value> {
        let operation = &self.bulk.operations[at];
        let (done, error) = (self.results[at].as_ref(), self.errors[at].as_ref());
        let mut entry = Map::new();
        let mut state = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        if let Some(method) = operation.method {
            state("method", method.as_str().into());
        }
        if let Some(bulk_id) = &operation.bulk_id {
            state("bulkId", bulk_id.as_str().into());
        }
        let sent = operation.order.as_ref().ok();
        let id = done.map(|done| done.id.as_str()).or(sent.and_then(|order| order.id.as_deref()));
        if let (Some(order), Some(id)) = (sent, id.filter(|id| reference::of(id).is_none())) {
            state("location", format!("{}{}/{id}", self.base_url, order.resource.endpoint()).into());
        }
        let status = match (done, error) {
            (_, Some(error)) => {
                state("response", error.to_json());
                error.status
            }
            (Some(done), None) => {
                if let Some(version) = &done.version {
                    state("version", crate::render::etag(version).into());
                }
                operation.method.map_or(200, Method::status)
            }
            (None, None) => return None,
        };
        state("status", status.to_string().into());
        Some(Value::Object(entry))
    }
}

/// The order of the request, but what an operation refers to comes before it.
fn ordered(operations: &[Operation], created_by: &HashMap<String, usize>) -> VecDeque<usize> {
    let refers_to = |at: usize| -> Vec<usize> {
        let Ok(order) = &operations[at].order else { return Vec::new() };
        let mut found = BTreeSet::new();
        reference::all(&order.data, &mut found);
        found.extend(order.id.as_deref().and_then(reference::of));
        let mut places: Vec<usize> = found.into_iter().filter_map(|id| created_by.get(id).copied()).collect();
        places.sort_unstable();
        places
    };
    let mut order = VecDeque::with_capacity(operations.len());
    let mut seen = vec![false; operations.len()];
    for first in 0..operations.len() {
        // Each with those still to be looked at of what it refers to; on the stack once, so that a circle ends.
        let mut stack = Vec::new();
        if !std::mem::replace(&mut seen[first], true) {
            stack.push((first, refers_to(first).into_iter()));
        }
        while let Some((at, referred)) = stack.last_mut() {
            match referred.next() {
                Some(next) if !std::mem::replace(&mut seen[next], true) => {
                    stack.push((next, refers_to(next).into_iter()));
                }
                Some(_) => {}
                None => {
                    order.push_back(*at);
                    stack.pop();
                }
            }
        }
    }
    order
}
