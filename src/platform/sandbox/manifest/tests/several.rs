//! Several StatefulSets in one manifest.

use super::*;

/// The usual set or Service under another name, with another program of this machine.
fn named(text: &str, name: &str) -> String {
    text.replace(": db", &format!(": {name}"))
}

fn read_all(texts: &[&str]) -> Result<Accepted, Vec<Problem>> {
    let documents: Vec<Document<'_>> = texts.iter().map(|&text| document(text)).collect();
    read(&documents, &machine)
}

fn names(accepted: &Accepted) -> Vec<&str> {
    accepted.sets().map(|set| set.name.as_str()).collect()
}

#[test]
fn takes_all_sets_each_with_its_service_in_the_order_of_the_files() {
    let (zoo_set, zoo) = (named(SET, "zoo"), named(SERVICE, "zoo"));
    let mut accepted = read_all(&[&zoo, &zoo_set, SET, SERVICE]).expect("both can be run");
    assert_eq!(names(&accepted), ["zoo", "db"]);
    assert!(accepted.sets().all(|set| set.service == set.name && set.service_ports.len() == 2));
    accepted.put_first("db");
    assert_eq!(names(&accepted), ["db", "zoo"]);
    accepted.put_first("nobody");
    assert_eq!(names(&accepted), ["db", "zoo"]);
}

#[test]
fn sets_have_the_secrets_and_config_maps_of_their_namespace_together() {
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {WORD: hello}\n";
    let variables = with_container("envFrom: [{configMapRef: {name: shared}}]");
    let (set, service) = (named(&variables, "zoo"), named(SERVICE, "zoo"));
    let accepted = read_all(&[config, &variables, SERVICE, &set, &service]).expect("both can be run");
    assert!(accepted.sets().all(|set| set.pod.containers[0].env[0].name == "WORD"), "{accepted:#?}");
    assert!(accepted.sets().all(|set| set.config_maps == accepted.set.config_maps));
}

#[test]
fn sets_may_have_one_service_and_are_told_of_it_once() {
    let both = SERVICE.replace("port: 2380", "port: 2380, targetPort: 9000").replace("app: db", "group: all");
    let member = |set: &str| set.replace("labels: {app", "labels: {group: all, app");
    let zoo = named(SET, "zoo").replace("serviceName: zoo", "serviceName: db");
    let accepted = read_all(&[&both, &member(SET), &member(&zoo)]).expect("both can be run");
    assert!(accepted.sets().all(|set| set.service == "db" && set.service_ports[1].target == 9000));
    let translated = accepted.notes.iter().filter(|note| note.path == "spec.ports[1].port");
    assert_eq!(translated.count(), 1, "{:#?}", accepted.notes);
    // It selects the pods of one of them.
    let problems = read_all(&[SERVICE, SET, &zoo]).expect_err("the other one's pods are not selected");
    assert!(told(&problems)[0].contains("wants app=db, which the pods of zoo do not have"), "{problems:#?}");
}

#[test]
fn refuses_what_two_sets_cannot_have_both() {
    let claim = |set: &str, name: &str| {
        format!(
            "{set}  volumeClaimTemplates:\n    - metadata: {{name: {name}}}\n      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let (zoo, zoo_service) = (named(SET, "zoo"), named(SERVICE, "zoo"));
    let shop = |text: &str| text.replacen("name: zoo", "name: zoo\n  namespace: shop", 1);
    let shop_service = zoo_service.replace("{name: zoo}", "{name: zoo, namespace: shop}");
    for (texts, path, words) in [
        (vec![SERVICE.into(), SET.into(), SET.into()], "metadata.name", "is the second StatefulSet db"),
        (
            vec![SERVICE.into(), SET.into(), shop_service, shop(&zoo)],
            "metadata.namespace",
            "is shop, and that of db is default",
        ),
        (
            vec![
                SERVICE.into(),
                claim(SET, "data-a"),
                named(SERVICE, "a-db"),
                claim(&named(SET, "a-db"), "data"),
            ],
            "spec.volumeClaimTemplates",
            "the name data-a-db-0",
        ),
        (
            vec![SERVICE.into(), SET.into(), zoo_service, zoo.replace("replicas: 3", "replicas: 98")],
            "spec.replicas",
            "is 98, and the StatefulSets before it have 3",
        ),
    ] {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let problems = read_all(&texts).expect_err(path);
        let told = told(&problems);
        assert!(told.len() == 1 && problems[0].path == path && told[0].contains(words), "{told:#?}");
    }
}

#[test]
fn tells_what_is_wrong_with_each_set_and_where() {
    let [good, bad] =
        [SET.to_owned(), named(SET, "zoo")].map(|set| set.replace("[etcd]", "[etcd]\n          tty: true"));
    let documents = [
        Document { file: "one.yaml", first_line: 1, text: &good },
        Document { file: "one.yaml", first_line: 41, text: SERVICE },
        Document { file: "two.yaml", first_line: 11, text: &bad },
    ];
    let problems = read(&documents, &machine).expect_err("both are wrong");
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(places, [("one.yaml", 16), ("two.yaml", 16), ("two.yaml", 26)], "{:#?}", told(&problems));
    assert!(problems[1].message.contains("there is no Service zoo"), "{:#?}", told(&problems));
}

#[test]
fn refuses_more_sets_than_a_machine_runs_in_little_time() {
    let began = std::time::Instant::now();
    let sets: Vec<String> = (0..2_000).map(|number| named(SET, &format!("db{number}"))).collect();
    let texts: Vec<&str> = sets.iter().map(String::as_str).collect();
    let problems = read_all(&texts).expect_err("too many");
    assert!(problems.iter().any(|problem| problem.message.contains("more than 20")), "{problems:#?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "took {:?}", began.elapsed());
}
