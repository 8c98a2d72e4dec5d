//! What identity providers really send over HTTP, case by case, to one running Leaver.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::world::{Answer, Scim, World, okta, people, person, text};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A client of one source, with what all cases need.
struct Client<'a> {
    scim: Scim,
    world: &'a World,
}

impl Client<'_> {
    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.scim.raw(method, path, Some(body.to_string())).await
    }

    async fn list(&self, path: &str) -> Value {
        self.scim.raw("GET", path, None).await.expect_status(200).json()
    }

    /// A new user of this name; its id.
    async fn user(&self, name: &str) -> String {
        let user = json!({"schemas": [USER], "userName": name, "active": true});
        text(&self.send("POST", "/Users", user).await.expect_status(201).json()["id"])
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let group = json!({"schemas": [GROUP], "displayName": name, "members": members});
        text(&self.send("POST", "/Groups", group).await.expect_status(201).json()["id"])
    }

    async fn patch(&self, path: &str, operation: Value) -> Answer {
        self.send("PATCH", path, json!({"schemas": [PATCH], "Operations": [operation]})).await
    }

    async fn members(&self, group: &str) -> Vec<String> {
        let group = self.list(&format!("/Groups/{group}")).await;
        let mut ids: Vec<String> = group["members"].as_array().unwrap().iter().map(|m| text(&m["value"])).collect();
        ids.sort_unstable();
        ids
    }
}

fn ids(list: &Value) -> Vec<String> {
    list["Resources"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect()
}

#[track_caller]
fn refused(answer: Answer, status: u16, scim_type: &str) {
    let error = answer.expect_status(status).json();
    assert_eq!((&error["schemas"][0], &error["scimType"]), (&ERROR.into(), &scim_type.into()), "{error:#}");
}

/// One world for all cases: to start one takes longer than any of them.
#[tokio::test]
async fn identity_providers_are_understood() {
    let world = World::start(|names| {
        let slow = okta("").replace("type: scim,", "type: scim, rate: { per_second: 1, burst: 3 },");
        let stated = okta("").replace("type: scim,", "type: scim, dialect: okta-oin,");
        format!(
            "sources:\n  people: {}\n  okta: {}\n  entra: {}\n  slow: {slow}\n  stated: {stated}\ndownstreams:\n  web: {}\n",
            people(""),
            okta(""),
            okta(""),
            names.web()
        )
    })
    .await;
    let client = |source: &str| Client { scim: world.scim(source), world: &world };
    let entra = client("entra");
    b1_03_members_are_removed_in_both_shapes(&entra).await;
    b1_04_all_members_are_removed_only_where_that_is_said(&entra).await;
    b1_09_a_full_push_of_members_is_a_difference(&entra).await;
    b1_10_groups_by_put_keep_their_members(&entra).await;
    b1_11_a_group_patch_is_answered_without_its_members(&entra).await;
    b1_13_users_are_found_as_providers_ask(&entra).await;
    b1_14_a_user_who_returns_keeps_the_id(&entra).await;
    b1_15_a_conflict_says_uniqueness_and_a_shared_address_is_none(&entra).await;
    b1_17_a_rename_keeps_the_id_and_frees_the_name(&entra).await;
    b1_19_and_20_whoever_is_inactive_is_still_there_and_still_a_member(&entra).await;
    b1_22_a_probe_for_nobody_is_an_empty_list_and_leaves_no_trace(&entra).await;
    b1_23_pages_by_index(&entra).await;
    b1_24_and_26_unknown_schemas_and_members_to_come(&entra).await;
    b1_25_content_types(&entra).await;
    b1_29_a_password_is_neither_returned_nor_kept(&entra).await;
    b1_30_discovery_is_honest(&entra).await;
    b1_31_versions(&entra).await;
    b1_32_bulk(&entra).await;
    b1_33_pages_by_cursor(&entra).await;
    b1_36_quirks_are_counted_and_dialects_told(&world).await;
    b1_38_nobody_without_a_token_of_the_source_is_let_in(&world).await;
    what_comes_too_often_is_put_off(&client("slow")).await;
    what_is_too_large_is_refused_at_once(&entra).await;
}

async fn b1_03_members_are_removed_in_both_shapes(scim: &Client<'_>) {
    let [a, b, c] = [scim.user("b03a").await, scim.user("b03b").await, scim.user("b03c").await];
    let group = scim.group("b03", &[&a, &b, &c]).await;
    let path = format!("/Groups/{group}");
    let list = json!({"op": "Remove", "path": "members", "value": [{"$ref": null, "value": a}]});
    scim.patch(&path, list).await.expect_status(204);
    let filter = json!({"op": "Remove", "path": format!("members[value eq \"{b}\"]")});
    scim.patch(&path, filter).await.expect_status(204);
    assert_eq!(scim.members(&group).await, [c]);
}

async fn b1_04_all_members_are_removed_only_where_that_is_said(scim: &Client<'_>) {
    let a = scim.user("b04a").await;
    let group = scim.group("b04", &[&a]).await;
    let path = format!("/Groups/{group}");
    scim.patch(&path, json!({"op": "remove", "path": "members", "value": []})).await;
    assert_eq!(scim.members(&group).await, std::slice::from_ref(&a), "an empty list names nobody");
    scim.patch(&path, json!({"op": "remove", "path": "members"})).await.expect_status(204);
    assert_eq!(scim.members(&group).await, [""; 0]);
}

async fn b1_09_a_full_push_of_members_is_a_difference(scim: &Client<'_>) {
    let mut all = [scim.user("b09a").await, scim.user("b09b").await, scim.user("b09c").await];
    let group = scim.group("b09", &[&all[0], &all[1]]).await;
    let value: Vec<Value> = all[1..].iter().map(|id| json!({"value": id})).collect();
    let push = json!({"op": "replace", "path": "members", "value": value});
    scim.patch(&format!("/Groups/{group}"), push).await.expect_status(204);
    all[1..].sort_unstable();
    assert_eq!(scim.members(&group).await, all[1..]);
}

async fn b1_10_groups_by_put_keep_their_members(scim: &Client<'_>) {
    let a = scim.user("b10a").await;
    let group = scim.group("b10", &[]).await;
    assert_eq!(scim.list(&format!("/Users/{a}")).await.get("groups"), None);
    let put = json!({"schemas": [GROUP], "displayName": "b10", "members": [{"value": a, "display": "A"}]});
    scim.send("PUT", &format!("/Groups/{group}"), put).await.expect_status(200);
    assert_eq!(scim.members(&group).await, std::slice::from_ref(&a));
    // Read-only, so accepted and not applied.
    let put = json!({"schemas": [USER], "userName": "b10a", "active": true, "groups": []});
    scim.send("PUT", &format!("/Users/{a}"), put).await.expect_status(200);
    assert_eq!(scim.members(&group).await, [a]);
}

async fn b1_11_a_group_patch_is_answered_without_its_members(scim: &Client<'_>) {
    let a = scim.user("b11a").await;
    let group = scim.group("b11", &[&a]).await;
    let path = format!("/Groups/{group}");
    let renamed = scim.patch(&path, json!({"op": "replace", "value": {"id": group, "displayName": "b11!"}})).await;
    let renamed = renamed.expect_status(204);
    assert_eq!(
        (renamed.body.as_str(), &renamed.headers["etag"]),
        ("", &scim.scim.raw("GET", &path, None).await.headers["etag"])
    );
    // Whoever says what to show of it is shown it.
    let rename = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "b11!"}]});
    let whole = json!({"schemas": [GROUP], "displayName": "b11!", "members": [{"value": a}]});
    for (method, path, body) in [
        ("PATCH", format!("{path}?excludedAttributes=members"), rename),
        ("PUT", format!("{path}?attributes=displayName"), whole.clone()),
        (
            "POST",
            "/Groups?excludedAttributes=members".to_owned(),
            json!({"displayName": "b11!", "members": [{"value": a}]}),
        ),
    ] {
        let answer = scim.send(method, &path, body).await;
        let shown = answer.json();
        assert_eq!((&shown["displayName"], shown.get("members")), (&"b11!".into(), None), "{method} {}", answer.body);
        if method == "POST" {
            scim.scim.raw("DELETE", &format!("/Groups/{}", text(&shown["id"])), None).await.expect_status(204);
        }
    }
    let all = scim.send("PUT", &format!("{path}?attributes=members"), whole).await.expect_status(200).json();
    assert_eq!((&all["members"][0]["value"], all.get("displayName")), (&a.into(), None));
    let read = scim.list(&format!("{path}?excludedAttributes=members")).await;
    assert_eq!((&read["displayName"], read.get("members")), (&"b11!".into(), None));
    let found = scim.list("/Groups?filter=displayName%20eq%20%22B11!%22&excludedAttributes=members").await;
    assert_eq!((ids(&found), found["Resources"][0].get("members")), (vec![group], None));
}

async fn b1_13_users_are_found_as_providers_ask(scim: &Client<'_>) {
    let user = json!({
        "schemas": [USER], "userName": "B13@example.com", "externalId": "b13-X", "active": true, "title": "O\"Neil",
        "emails": [{"type": "work", "value": "b13@corp.example.com", "primary": true}],
    });
    let id = text(&scim.send("POST", "/Users", user).await.expect_status(201).json()["id"]);
    let group = scim.group("b13 group", &[&id]).await;
    for (filter, found) in [
        ("userName eq \"b13@EXAMPLE.com\"", true),
        ("USERNAME Eq \"b13@example.com\"", true),
        ("externalId eq \"b13-X\"", true),
        ("externalId eq \"b13-x\"", false),
        ("emails[type eq \"work\"].value eq \"b13@corp.example.com\"", true),
        ("emails[type eq \"home\"].value eq \"b13@corp.example.com\"", false),
        ("emails.value sw \"b13@\" and not (userName co \"nobody\")", true),
        ("title eq \"o\\\"neil\" and active eq true", true),
        ("userName sw \"B13\" and (title pr or nickName pr) and meta.created gt \"2020-01-01T00:00:00Z\"", true),
        (&*format!("groups.value eq \"{group}\""), true),
        (&*format!("id eq \"{id}\" and userName ne \"b13@example.com\""), false),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let list = scim.list(&format!("/Users?filter={encoded}&startIndex=1&count=100")).await;
        let expected = if found { vec![id.clone()] } else { Vec::new() };
        assert_eq!(ids(&list), expected, "{filter}");
        let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter});
        let searched = scim.send("POST", "/Users/.search", search).await.expect_status(200).json();
        assert_eq!(ids(&searched), expected, "{filter}");
    }
    let members: String =
        url::form_urlencoded::byte_serialize(format!("members.value eq \"{id}\"").as_bytes()).collect();
    assert_eq!(ids(&scim.list(&format!("/Groups?filter={members}")).await), std::slice::from_ref(&group));
    let everything = json!({"filter": format!("id eq \"{id}\" or displayName eq \"b13 group\""), "attributes": ["id"]});
    let found = scim.send("POST", "/.search", everything).await.expect_status(200).json();
    assert_eq!((ids(&found), &found["totalResults"]), (vec![id, group], &2.into()));
    let wrong = |path: &'static str| scim.scim.raw("GET", path, None);
    refused(wrong("/Users?filter=userName%20zz%20%22a%22").await, 400, "invalidFilter");
    refused(wrong("/Users?filter=unknown%20pr").await, 400, "invalidFilter");
    refused(wrong("/Users?sortBy=unknown").await, 400, "invalidValue");
}

async fn b1_14_a_user_who_returns_keeps_the_id(scim: &Client<'_>) {
    let user = |active: bool| json!({"schemas": [USER], "userName": "b14", "externalId": "b14", "active": active});
    let id = text(&scim.send("POST", "/Users", user(true)).await.expect_status(201).json()["id"]);
    scim.send("PUT", &format!("/Users/{id}"), user(false)).await.expect_status(200);
    let back = scim.send("POST", "/Users", user(true)).await.expect_status(201).json();
    assert_eq!((&back["id"], &back["active"]), (&id.into(), &true.into()));
}

async fn b1_15_a_conflict_says_uniqueness_and_a_shared_address_is_none(scim: &Client<'_>) {
    let user = |name: &str| json!({"schemas": [USER], "userName": name, "emails": [{"value": "b15@example.com"}]});
    scim.send("POST", "/Users", user("B15")).await.expect_status(201);
    scim.send("POST", "/Users", user("b15-other")).await.expect_status(201);
    refused(scim.send("POST", "/Users", user("b15")).await, 409, "uniqueness");
}

async fn b1_17_a_rename_keeps_the_id_and_frees_the_name(scim: &Client<'_>) {
    let id = scim.user("b17").await;
    let rename = json!({"op": "Replace", "path": "userName", "value": "b17-New"});
    let renamed = scim.patch(&format!("/Users/{id}"), rename).await.expect_status(200).json();
    assert_eq!((&renamed["id"], &renamed["userName"]), (&id.clone().into(), &"b17-New".into()), "b1_16: in its case");
    assert_ne!(scim.user("b17").await, id);
}

async fn b1_19_and_20_whoever_is_inactive_is_still_there_and_still_a_member(scim: &Client<'_>) {
    let id = scim.user("b19").await;
    let group = scim.group("b19", &[&id]).await;
    scim.scim.deactivate(&id).await;
    assert_eq!(scim.list(&format!("/Users/{id}")).await["active"], false);
    assert_eq!(ids(&scim.list("/Users?filter=userName%20eq%20%22b19%22").await), std::slice::from_ref(&id));
    assert_eq!(scim.members(&group).await, std::slice::from_ref(&id));
    scim.scim.delete(&id).await.expect_status(204);
    scim.scim.get(&id).await.expect_status(404);
    assert_eq!(scim.list("/Users?filter=userName%20eq%20%22b19%22").await["totalResults"], 0);
}

async fn b1_22_a_probe_for_nobody_is_an_empty_list_and_leaves_no_trace(scim: &Client<'_>) {
    // Of the ledger itself: a page of events ends before those that a transaction of any other database might precede.
    let pool = scim.world.site().database().pool().await;
    let events =
        async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM ledger.events").fetch_one(&pool).await.unwrap();
    let before = events().await;
    for path in ["/Users?filter=userName%20eq%20%22141fe1e9%22", "/Groups?filter=displayName%20eq%20%22141fe1e9%22"] {
        let list = scim.list(path).await;
        assert_eq!((&list["totalResults"], ids(&list).len()), (&0.into(), 0));
    }
    assert_eq!(events().await, before);
}

async fn b1_23_pages_by_index(scim: &Client<'_>) {
    for n in 0..5 {
        scim.user(&format!("b23-{n}")).await;
    }
    let page = async |query: &str| scim.list(&format!("/Users?filter=userName%20sw%20%22b23-%22&{query}")).await;
    let all = ids(&page("sortBy=userName").await);
    assert_eq!(all.len(), 5);
    for (query, wanted, start) in [
        ("startindex=0&count=2&sortby=username", &all[..2], 1),
        ("startIndex=3&count=2&sortBy=userName", &all[2..4], 3),
        ("startIndex=5&count=9&sortBy=userName&sortOrder=ascending", &all[4..], 5),
        ("startIndex=9&sortBy=userName", &all[5..], 9),
        ("count=0", &all[5..], 1),
        ("count=-1", &all[5..], 1),
    ] {
        let list = page(query).await;
        assert_eq!(ids(&list), wanted, "{query}");
        let numbers = (&list["totalResults"], &list["startIndex"], &list["itemsPerPage"]);
        assert_eq!(numbers, (&5.into(), &start.into(), &wanted.len().into()), "{query}");
    }
    let mut backwards = ids(&page("sortBy=userName&sortOrder=descending").await);
    backwards.reverse();
    assert_eq!(backwards, all);
}

async fn b1_24_and_26_unknown_schemas_and_members_to_come(scim: &Client<'_>) {
    let later = "00000000-0000-4000-8000-000000000026";
    let group = json!({
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "displayName": "b24", "externalId": "b24", "members": [{"value": later}],
    });
    let created = scim.send("POST", "/Groups", group).await.expect_status(201).json();
    assert_eq!(created["schemas"], json!([GROUP]));
    assert_eq!(scim.members(&text(&created["id"])).await, [later]);
    scim.scim.get(later).await.expect_status(404);
}

async fn b1_25_content_types(scim: &Client<'_>) {
    let user = |name: &str| json!({"schemas": [USER], "userName": name}).to_string();
    for (n, kind) in
        ["application/scim+json; charset=utf-8", "application/json", "Application/JSON"].into_iter().enumerate()
    {
        let answer = scim.scim.typed("POST", "/Users", kind, user(&format!("b25-{n}"))).await.expect_status(201);
        assert_eq!(answer.headers["content-type"], "application/scim+json");
        assert!(answer.headers.contains_key("location") && answer.headers.contains_key("etag"));
    }
    let answer = scim.scim.typed("POST", "/Users", "text/xml", user("b25-x")).await.expect_status(415);
    assert_eq!(answer.json()["schemas"][0], ERROR);
    let found = scim.list("/Users?filter=userName%20sw%20%22b25-%22&attributes=userName").await;
    assert_eq!(found["totalResults"], 3);
    let one = found["Resources"][0].as_object().unwrap();
    assert_eq!(one.keys().map(String::as_str).collect::<Vec<_>>(), ["id", "schemas", "userName"]);
    let id = text(&one["id"]);
    let rename = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "T"}]});
    let patched = scim.send("PATCH", &format!("/Users/{id}?attributes=title"), rename).await.expect_status(200).json();
    assert_eq!((&patched["title"], patched.get("userName")), (&"T".into(), None));
}

async fn b1_29_a_password_is_neither_returned_nor_kept(scim: &Client<'_>) {
    let user = json!({"schemas": [USER], "userName": "b29", "password": "hunter2-b29"});
    let created = scim.send("POST", "/Users", user.clone()).await.expect_status(201);
    assert!(!created.body.contains("hunter2"));
    refused(scim.send("POST", "/Users", user).await, 409, "uniqueness");
    assert!(!scim.world.logs().contains("hunter2"));
    assert!(!scim.world.cli(&["parked", "list", "-o", "json"]).await.stdout.contains("hunter2"));
}

async fn b1_30_discovery_is_honest(scim: &Client<'_>) {
    let config = scim.list("/ServiceProviderConfig").await;
    for feature in ["patch", "bulk", "filter", "sort", "etag"] {
        assert_eq!(config[feature]["supported"], true, "{feature}");
    }
    assert_eq!(
        (&config["pagination"]["cursor"], &config["changePassword"]["supported"]),
        (&true.into(), &false.into())
    );
    for path in ["/ResourceTypes", "/Schemas"] {
        let list = scim.list(path).await;
        assert_eq!(list["totalResults"], ids(&list).len(), "{path}");
        assert!(!list.to_string().contains("null"), "{path}");
        for id in ids(&list) {
            assert_eq!(scim.list(&format!("{path}/{id}")).await["id"], id);
        }
    }
    scim.scim.raw("GET", "/Schemas?filter=id%20pr", None).await.expect_status(403);
    scim.scim.raw("GET", "/Me", None).await.expect_status(501);
    scim.scim.raw("GET", "/Nothing", None).await.expect_status(404);
    scim.scim.raw("DELETE", "/Schemas", None).await.expect_status(405);
}

async fn b1_31_versions(scim: &Client<'_>) {
    let id = scim.user("b31").await;
    let path = format!("/Users/{id}");
    let read = scim.scim.get(&id).await;
    let first = read.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(read.json()["meta"]["version"], first);
    let alone = format!("{path}?excludedAttributes=groups");
    let unchanged = scim.scim.with("GET", &alone, ("if-none-match", &first), None).await.expect_status(304);
    assert_eq!((unchanged.body.as_str(), unchanged.headers["etag"].to_str().unwrap()), ("", first.as_str()));
    let group = scim.group("b31 group", &[&id]).await;
    let joined = scim.scim.with("GET", &path, ("if-none-match", &first), None).await.expect_status(200).json();
    let location = text(&scim.list(&format!("/Groups/{group}")).await["meta"]["location"]);
    let shown = json!([{"value": group, "$ref": location, "display": "b31 group", "type": "direct"}]);
    assert_eq!(joined["groups"], shown, "a version says nothing of groups");
    let found = scim.list("/Users?filter=userName%20eq%20%22b31%22&attributes=groups").await;
    assert_eq!(found["Resources"][0]["groups"], shown);
    let title =
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "T"}]}).to_string();
    scim.scim.with("PATCH", &path, ("if-match", &first), Some(title.clone())).await.expect_status(200);
    scim.scim.with("PATCH", &path, ("if-match", &first), Some(title)).await.expect_status(412);
    scim.scim.with("DELETE", &path, ("if-match", &first), None).await.expect_status(412);
    scim.scim.with("GET", &alone, ("if-none-match", &first), None).await.expect_status(200);
}

async fn b1_32_bulk(scim: &Client<'_>) {
    let request = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "g",
             "data": {"schemas": [GROUP], "displayName": "b32", "members": [{"value": "bulkId:u"}]}},
            {"method": "post", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": "b32"}},
            {"method": "POST", "path": "/Users", "bulkId": "twice", "data": {"schemas": [USER], "userName": "B32"}},
            {"method": "DELETE", "path": "/Users/00000000-0000-4000-8000-000000000000"},
        ],
    });
    let answer = scim.send("POST", "/Bulk", request.clone()).await.expect_status(200).json();
    let statuses: Vec<&Value> = answer["Operations"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["201", "201", "409", "404"], "{answer:#}");
    let id = |at: usize| text(&answer["Operations"][at]["location"]).rsplit('/').next().unwrap().to_owned();
    assert_eq!(scim.members(&id(0)).await, [id(1)]);
    let mut stops = request;
    stops["failOnErrors"] = 1.into();
    stops["Operations"].as_array_mut().unwrap().rotate_left(2);
    let answer = scim.send("POST", "/Bulk", stops).await.expect_status(200).json();
    assert_eq!(answer["Operations"].as_array().unwrap().len(), 1, "{answer:#}");
    refused(scim.send("POST", "/Bulk", json!({"Operations": []})).await, 400, "invalidSyntax");
}

async fn b1_33_pages_by_cursor(scim: &Client<'_>) {
    for n in 0..5 {
        scim.user(&format!("b33-{n}")).await;
    }
    let query = "filter=userName%20sw%20%22b33-%22&sortBy=userName&sortOrder=descending&count=2";
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = scim.list(&format!("/Users?{query}&cursor={cursor}")).await;
        assert_eq!((&page["totalResults"], page.get("startIndex")), (&5.into(), None));
        found.extend(page["Resources"].as_array().unwrap().iter().map(|user| text(&user["userName"])));
        cursor = page["nextCursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((found.join(" "), cursor.as_str()), ("b33-4 b33-3 b33-2 b33-1 b33-0".to_owned(), ""));
    let page = scim.list(&format!("/Users?{query}&cursor=")).await;
    let cursor = text(&page["nextCursor"]);
    let second = scim.list(&format!("/Users?{query}&cursor={cursor}")).await;
    let back = scim.list(&format!("/Users?{query}&cursor={}", text(&second["previousCursor"]))).await;
    assert_eq!(ids(&back), ids(&page));
    // A cursor has the second of its answer in it, so two of one place may differ.
    let again = scim.list(&format!("/Users?{query}&cursor={}", text(&back["nextCursor"]))).await;
    assert_eq!(ids(&again), ids(&second));
    assert_eq!((page.get("previousCursor"), back.get("previousCursor")), (None, None), "nothing is before the first");
    let other = scim.scim.raw("GET", &format!("/Users?count=2&cursor={cursor}"), None).await;
    refused(other, 400, "invalidCursor");
    refused(scim.scim.raw("GET", "/Users?cursor=made-up", None).await, 400, "invalidCursor");
    refused(scim.scim.raw("GET", "/Users?cursor=&count=0", None).await, 400, "invalidCount");
}

async fn b1_36_quirks_are_counted_and_dialects_told(world: &World) {
    let admin = world.admin();
    let seen = admin.metric("leaver_scim_quirks_total", "source=\"entra\",quirk=\"op_case\"").await;
    assert!(seen >= 1.0, "{seen}");
    world.scim("stated").create(&person(3601, "b36")).await;
    let plain = Client { scim: world.scim("stated"), world };
    let user = json!({"schemas": [USER], "userName": "b36-2", "password": "x"});
    plain.send("POST", "/Users", user).await.expect_status(201);
    let sources = world.ask(&["source", "list"]).await;
    let stated = sources["items"].as_array().unwrap().iter().find(|source| source["name"] == "stated").unwrap();
    assert_eq!(stated["dialect"], "okta-oin");
}

async fn b1_38_nobody_without_a_token_of_the_source_is_let_in(world: &World) {
    for (source, path) in [("okta", "/Users"), ("nobody", "/Users"), ("people", "/Users"), ("okta", "/Nothing")] {
        let answer = world.scim_with(source, "wrong").raw("GET", path, None).await.expect_status(401);
        assert_eq!(answer.json()["schemas"][0], ERROR, "{source}");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
}

async fn what_comes_too_often_is_put_off(slow: &Client<'_>) {
    let calls = (0..10).map(|_| slow.scim.raw("GET", "/Users?count=0", None));
    let (throttled, taken): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(|answer| answer.status == 429);
    assert!(taken.len() >= 3 && taken.iter().all(|answer| answer.status == 200), "{taken:?}");
    let answer = throttled.into_iter().next();
    let answer = answer.expect("ten calls at once are more than three and one per second");
    assert_eq!(answer.json()["schemas"][0], ERROR);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    let labels = "source=\"slow\",outcome=\"throttled\"";
    assert!(slow.world.admin().metric("leaver_scim_requests_total", labels).await >= 1.0);
}

async fn what_is_too_large_is_refused_at_once(scim: &Client<'_>) {
    let long = "x".repeat(2 * 1024 * 1024);
    let answer = scim.send("POST", "/Users", json!({"schemas": [USER], "userName": long})).await.expect_status(413);
    assert_eq!(answer.json()["schemas"][0], ERROR);
    let operations: Vec<Value> = (0..1_001).map(|_| json!({"op": "add", "path": "title", "value": "T"})).collect();
    let id = scim.user("large").await;
    let many = json!({"schemas": [PATCH], "Operations": operations});
    scim.send("PATCH", &format!("/Users/{id}"), many).await.expect_status(413);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    refused(scim.scim.raw("POST", "/Users", Some(deep)).await, 400, "invalidSyntax");
}
