//! Who a process is, where the image says it by names: looked up in the container's own `/etc/passwd` and `/etc/group`
//! (passwd(5), group(5)), once they are its root's.

use std::fs::File;
use std::io::{self, Read};

use super::ProcessPlan;

/// More than these files ever have.
const LARGEST: u64 = 4 << 20;

/// A user with everything that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Its other groups.
    pub groups: Vec<u32>,
    pub home: Option<String>,
}

/// Who the process of `plan` is.
pub fn of(plan: &ProcessPlan) -> io::Result<Identity> {
    let Some(named) = &plan.user else {
        return Ok(Identity { uid: plan.uid, gid: plan.gid, groups: Vec::new(), home: None });
    };
    identify(named, &read("/etc/passwd")?, &read("/etc/group")?)
}

/// An image may have no such file.
fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => {
            opened?.take(LARGEST).read_to_end(&mut bytes)?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The user `named`, which is `USER` or `USER:GROUP`, each a name or a number. Without a group it has its own. Either way it
/// is in all that list it, as container runtimes of Kubernetes see to it (`supplementalGroupsPolicy: Merge`).
fn identify(named: &str, passwd: &str, group: &str) -> io::Result<Identity> {
    let (user, own_group) = named.split_once(':').map_or((named, None), |(user, group)| (user, Some(group)));
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|entry| {
        entry.len() >= 6 && (entry[0] == user || number.is_some_and(|number| entry[2].parse() == Ok(number)))
    });
    let missing = |what: &str, name: &str| {
        io::Error::new(io::ErrorKind::NotFound, format!("the image has no {what} {name}"))
    };
    let uid = match (&entry, number) {
        (Some(entry), _) => entry[2].parse().map_err(|_| missing("number for the user", user))?,
        (None, Some(number)) => number,
        (None, None) => return Err(missing("user", user)),
    };
    let groups: Vec<Vec<String>> = group.lines().map(fields).filter(|entry| entry.len() >= 3).collect();
    let gid = match own_group.filter(|name| !name.is_empty()) {
        Some(name) => match groups.iter().find(|entry| entry[0] == name) {
            Some(entry) => entry[2].parse().map_err(|_| missing("number for the group", name))?,
            None => name.parse().map_err(|_| missing("group", name))?,
        },
        None => entry
            .as_ref()
            .map_or(Ok(0), |entry| entry[3].parse().map_err(|_| missing("number for the group of", user)))?,
    };
    let lists = |group: &[String], user: &str| {
        group.get(3).is_some_and(|all| all.split(',').any(|name| name == user))
    };
    let others = entry.iter().flat_map(|of| groups.iter().filter(move |group| lists(group, &of[0])));
    let others = others.filter_map(|group| group[2].parse().ok()).filter(|id| *id != gid).collect();
    let home = entry.map(|entry| entry[5].clone()).filter(|home| !home.is_empty());
    Ok(Identity { uid, gid, groups: others, home })
}

#[cfg(test)]
mod tests {
    use super::{Identity, identify};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:998::/var/lib/postgresql:/bin/bash\n";
    const GROUP: &str = "root:x:0:\npostgres:x:998:\nssl-cert:x:101:postgres,www\nwheel:x:10:root\n";

    #[test]
    fn looks_names_and_numbers_up_in_the_images_own_files() {
        let who = |uid, gid, groups: &[u32], home: Option<&str>| Identity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.map(str::to_owned),
        };
        let home = Some("/var/lib/postgresql");
        for (named, expected) in [
            ("postgres", who(999, 998, &[101], home)),
            ("999", who(999, 998, &[101], home)),
            ("postgres:ssl-cert", who(999, 101, &[], home)),
            ("postgres:5", who(999, 5, &[101], home)),
            ("1234", who(1234, 0, &[], None)),
            ("1234:postgres", who(1234, 998, &[], None)),
            ("", who(0, 0, &[10], Some("/root"))),
        ] {
            assert_eq!(identify(named, PASSWD, GROUP).expect(named), expected, "{named}");
        }
        for (named, why) in [("nobody", "no user nobody"), ("0:nobody", "no group nobody")] {
            assert!(identify(named, PASSWD, GROUP).expect_err(named).to_string().contains(why));
        }
        assert_eq!(identify("7", "", "").expect("a number needs no file"), who(7, 0, &[], None));
    }
}
