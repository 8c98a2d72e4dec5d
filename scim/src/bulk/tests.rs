use serde_json::json;

use super::*;
use crate::schema::{BULK_RESPONSE, ENTERPRISE, ERROR, PATCH_OP};

const BASE: &str = "https://example.com/v2/";

fn request(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations})
}

fn keyword(body: &Value) -> &'static str {
    Bulk::parse(body).unwrap_err().scim_type.unwrap().as_str()
}

/// Carries `body` out: the nth POST gets the id `n`, and `refuse` may refuse a step. Returns the steps and the response.
fn run(body: &Value, refuse: impl Fn(&Step) -> Option<Error>) -> (Vec<Step>, Value) {
    let mut run = Run::new(Bulk::parse(body).unwrap(), BASE);
    let (mut steps, mut posts) = (Vec::new(), 0);
    while let Some(step) = run.next() {
        let outcome = match refuse(&step) {
            Some(error) => Err(error),
            None => {
                posts += u32::from(step.method == Method::Post);
                let version = (step.method != Method::Delete).then(|| "1".to_owned());
                Ok(Done { id: step.id.clone().unwrap_or_else(|| posts.to_string()), version })
            }
        };
        run.done(outcome);
        steps.push(step);
    }
    (steps, run.response())
}

fn all(body: &Value) -> (Vec<Step>, Value) {
    run(body, |_| None)
}

fn statuses(response: &Value) -> Vec<&str> {
    response["Operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect()
}

/// RFC 7644 §3.7.3, figure "an example of a bulk request".
fn four_methods() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "failOnErrors": 1,
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Alice"}},
            {"method": "PUT", "path": "/Users/b7c14771-226c-4d05-8860-134711653041", "version": "W/\"3694e05e9dff591\"", "data": {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "id": "b7c14771-226c-4d05-8860-134711653041", "userName": "Bob"}},
            {"method": "PATCH", "path": "/Users/5d8d29d3-342c-4b5f-8683-a3cb6763ffcc", "version": "W/\"edac3253e2c0ef2\"",
             "data": {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
                {"op": "remove", "path": "nickName"}, {"op": "add", "path": "userName", "value": "Dave"}]}},
            {"method": "DELETE", "path": "/Users/e9025315-6bea-44e1-899c-1e07454e468b", "version": "W/\"0ee8add0a938e1a\""},
        ],
    })
}

#[test]
fn b1_32_the_four_methods_are_carried_out_in_order() {
    let (steps, response) = all(&four_methods());
    let methods: Vec<_> = steps.iter().map(|step| step.method).collect();
    assert_eq!(methods, [Method::Post, Method::Put, Method::Patch, Method::Delete]);
    assert_eq!(steps[1].version.as_deref(), Some("W/\"3694e05e9dff591\""));
    assert_eq!((steps[3].id.as_deref(), &steps[3].data), (Some("e9025315-6bea-44e1-899c-1e07454e468b"), &Value::Null));
    let expected = json!({
        "schemas": [BULK_RESPONSE],
        "Operations": [
            {"method": "POST", "bulkId": "qwerty", "location": "https://example.com/v2/Users/1", "version": "W/\"1\"",
             "status": "201"},
            {"method": "PUT", "location": "https://example.com/v2/Users/b7c14771-226c-4d05-8860-134711653041",
             "version": "W/\"1\"", "status": "200"},
            {"method": "PATCH", "location": "https://example.com/v2/Users/5d8d29d3-342c-4b5f-8683-a3cb6763ffcc",
             "version": "W/\"1\"", "status": "200"},
            {"method": "DELETE", "location": "https://example.com/v2/Users/e9025315-6bea-44e1-899c-1e07454e468b",
             "status": "204"},
        ],
    });
    assert_eq!(response, expected);
}

#[test]
fn b1_32_after_so_many_errors_nothing_more_is_done() {
    let taken = |step: &Step| (step.method == Method::Post).then(|| Error::uniqueness("userName"));
    let (steps, response) = run(&four_methods(), taken);
    assert_eq!(steps.len(), 1);
    let detail = Error::uniqueness("userName").detail;
    let expected = json!([{"method": "POST", "bulkId": "qwerty", "status": "409", "response": {
        "schemas": [ERROR], "status": "409", "scimType": "uniqueness", "detail": detail}}]);
    assert_eq!(response["Operations"], expected);
    let mut patient = four_methods();
    patient["failOnErrors"] = json!(2);
    assert_eq!(statuses(&run(&patient, taken).1), ["409", "200", "200", "204"]);
    let gone = |step: &Step| (step.method == Method::Delete).then(Error::not_found);
    let refused = &run(&patient, gone).1["Operations"][3];
    assert_eq!(refused["location"], "https://example.com/v2/Users/e9025315-6bea-44e1-899c-1e07454e468b");
}

#[test]
fn b1_32_a_reference_forward_or_backward_becomes_the_id() {
    // RFC 7644 §3.7.2: a group with a user that is created in the same request.
    let alice = json!({"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": {"userName": "Alice"}});
    let guides = json!({"method": "POST", "path": "/Groups", "bulkId": "ytrewq", "data": {
        "displayName": "Tour Guides", "members": [{"type": "User", "value": "bulkId:qwerty"}]}});
    for operations in [json!([alice, guides]), json!([guides, alice])] {
        let (steps, response) = all(&request(operations));
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[1].data["members"], json!([{"type": "User", "value": "1"}]));
        assert_eq!(statuses(&response), ["201", "201"]);
    }
    let (steps, _) = all(&request(json!([
        {"method": "PATCH", "path": "/Groups/bulkId:ytrewq", "data": {"Operations": [
            {"op": "remove", "path": "members[value eq \"bulkId:qwerty\"]"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "boss", "data": {
            "userName": "Bob", ENTERPRISE: {"manager": {"value": "bulkId:qwerty"}}}},
        guides,
        alice,
    ])));
    let ids: Vec<_> = steps.iter().map(|step| (step.method, step.id.clone())).collect();
    assert_eq!(
        ids,
        [(Method::Post, None), (Method::Post, None), (Method::Patch, Some("2".to_owned())), (Method::Post, None)]
    );
    assert_eq!(steps[2].data["Operations"][0]["path"], "members[value eq \"1\"]");
    assert_eq!(steps[3].data[ENTERPRISE]["manager"]["value"], "1");
}

#[test]
fn b1_32_groups_in_a_circle_are_created_first_and_joined_afterwards() {
    // RFC 7644 §3.7.1: two groups that are members of each other.
    let group = |own: &str, other: &str| {
        json!({"method": "POST", "path": "/Groups", "bulkId": own, "data": {
            "displayName": own, "members": [{"type": "Group", "value": format!("bulkId:{other}")}, {"value": "u"}]}})
    };
    let body = request(json!([group("A", "B"), group("B", "A")]));
    let (steps, response) = all(&body);
    let data: Vec<_> = steps.iter().map(|step| (step.method, step.id.as_deref(), &step.data)).collect();
    assert_eq!(data[0], (Method::Post, None, &json!({"displayName": "B", "members": [{"value": "u"}]})));
    let whole = json!({"displayName": "A", "members": [{"type": "Group", "value": "1"}, {"value": "u"}]});
    assert_eq!(data[1], (Method::Post, None, &whole));
    let patch = json!({"schemas": [PATCH_OP], "Operations": [
        {"op": "add", "path": "members", "value": [{"type": "Group", "value": "2"}]}]});
    assert_eq!(data[2], (Method::Patch, Some("1"), &patch));
    assert_eq!(statuses(&response), ["201", "201"]);
    assert_eq!(response["Operations"][0]["location"], "https://example.com/v2/Groups/2");

    // If the other one cannot be created, the first is there without it, and says so.
    let fails = |step: &Step| (step.data["displayName"] == "A").then(|| Error::status(500, "failed"));
    let (steps, response) = run(&body, fails);
    assert_eq!(steps.len(), 2);
    assert_eq!(statuses(&response), ["500", "409"]);
    assert_eq!(response["Operations"][1]["location"], "https://example.com/v2/Groups/1");
    let mut hasty = body;
    hasty["failOnErrors"] = json!(1);
    assert_eq!(statuses(&run(&hasty, fails).1), ["500", "409"]);
}

#[test]
fn b1_29_a_password_in_a_bulk_request_is_dropped_too() {
    let body = request(json!([
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "ana", "Password": "hunter2"}},
    ]));
    let (steps, _) = all(&body);
    assert_eq!(steps[0].data, json!({"userName": "ana"}));
}

#[test]
fn what_refers_to_itself_or_to_its_manager_in_a_circle_is_completed_too() {
    let person = |own: &str, manager: &str| {
        json!({"method": "POST", "path": "/Users", "bulkId": own, "data": {
            "userName": own, ENTERPRISE: {"manager": {"value": format!("bulkId:{manager}")}}}})
    };
    for (body, patches) in [
        (request(json!([person("a", "a")])), 1),
        (request(json!([person("a", "b"), person("b", "c"), person("c", "a")])), 1),
    ] {
        let (steps, response) = all(&body);
        assert_eq!(steps.iter().filter(|step| step.method == Method::Patch).count(), patches);
        assert!(statuses(&response).iter().all(|status| *status == "201"), "{response}");
        for step in &steps {
            assert!(!step.data.to_string().contains("bulkId:"), "{step:?}");
        }
    }
}

#[test]
fn a_reference_to_nothing_is_refused_and_one_to_a_failure_is_a_conflict() {
    let body = request(json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "g", "members": ["bulkId:nobody"]}},
        {"method": "DELETE", "path": "/Users/bulkId:nobody"},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": "u"}},
        {"method": "POST", "path": "/Groups", "bulkId": "h", "data": {"displayName": "h", "members": ["bulkId:u"]}},
        {"method": "DELETE", "path": "/Users/bulkId:u"},
    ]));
    let (steps, response) =
        run(&body, |step| (step.resource == ResourceType::User).then(|| Error::uniqueness("userName")));
    assert_eq!(steps.len(), 1);
    assert_eq!(statuses(&response), ["400", "400", "409", "409", "409"]);
    assert_eq!(response["Operations"][0]["response"]["scimType"], "invalidValue");
}

#[test]
fn one_operation_that_is_not_understood_does_not_stop_the_others() {
    let data = json!({"userName": "x"});
    let body = request(json!([
        {"method": "GET", "path": "/Users"},
        7,
        {"method": "POST", "path": "/Users", "data": data},
        {"method": "POST", "path": "/Users/1", "bulkId": "a", "data": data},
        {"method": "POST", "path": "/Users", "bulkId": "b"},
        {"method": "PUT", "path": "/Users", "data": data},
        {"method": "PUT", "path": "/Users/1/2", "data": data},
        {"method": "PATCH", "path": "/Nothing/1", "data": data},
        {"method": "PATCH", "path": "/Me", "data": data},
        {"method": "DELETE"},
        {"METHOD": "post", "Path": "Users", "BULKID": "c", "Data": data},
    ]));
    let (steps, response) = all(&body);
    assert_eq!(steps.len(), 1);
    assert_eq!(statuses(&response), ["400", "400", "400", "400", "400", "400", "400", "404", "501", "400", "201"]);
}

#[test]
fn the_number_of_operations_is_bounded_and_another_structure_is_refused() {
    let one = json!({"method": "DELETE", "path": "/Users/1"});
    let many = |count: usize| request(Value::Array(vec![one.clone(); count]));
    assert!(Bulk::parse(&many(limits::BULK_OPERATIONS)).is_ok());
    let refused = Bulk::parse(&many(limits::BULK_OPERATIONS + 1)).unwrap_err();
    assert_eq!((refused.status, refused.scim_type), (413, None));
    assert!(refused.detail.contains("maxOperations (1000)"), "{}", refused.detail);
    for body in [json!([]), json!({}), request(json!({})), request(json!([]))] {
        assert_eq!(keyword(&body), "invalidSyntax", "{body}");
    }
    let mut never = many(1);
    for count in [json!(0), json!(-1), json!("1")] {
        never["failOnErrors"] = count;
        assert_eq!(keyword(&never), "invalidValue");
    }
    let twice = json!({"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "x"}});
    assert_eq!(keyword(&request(json!([twice, twice]))), "invalidSyntax");
}

#[test]
fn a_chain_of_a_thousand_references_is_ordered() {
    let operations: Vec<Value> = (0..limits::BULK_OPERATIONS)
        .map(|at| {
            let next = (at + 1) % limits::BULK_OPERATIONS;
            json!({"method": "POST", "path": "/Groups", "bulkId": at.to_string(), "data": {
                "displayName": "g", "members": [{"value": format!("bulkId:{next}")}]}})
        })
        .collect();
    let (steps, response) = all(&request(operations.into()));
    assert_eq!(steps.len(), limits::BULK_OPERATIONS + 1);
    assert!(statuses(&response).iter().all(|status| *status == "201"));
}
