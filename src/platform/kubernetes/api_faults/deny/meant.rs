//! Whose objects a denial means, in CEL: by the names that a StatefulSet gives, and by no others that only look alike.

use crate::api::{DeniedResource, Ordinal};
use crate::platform::kubernetes::api_faults::policy::{plain, quoted};

/// True for objects of these kinds that are of these members, or of all where none is named.
pub(super) fn condition(
    resources: &[DeniedResource],
    group: &str,
    templates: &[String],
    ordinals: &[Ordinal],
) -> Result<String, String> {
    let claims: Vec<String> = templates.iter().map(|template| format!("{template}-{group}")).collect();
    let part = |&resource: &DeniedResource| {
        Ok(match resource {
            DeniedResource::Pods => {
                let named = named("object.metadata.name", &[group.to_owned()], ordinals)?;
                format!("(request.resource.resource == 'pods' && {named})")
            }
            DeniedResource::PersistentVolumeClaims => {
                let named = named("object.metadata.name", &claims, ordinals)?;
                format!("(request.resource.resource == 'persistentvolumeclaims' && {named})")
            }
            DeniedResource::VolumeSnapshots => {
                let source = "object.spec.source";
                let named = named(&format!("{source}.persistentVolumeClaimName"), &claims, ordinals)?;
                format!(
                    "(request.resource.resource == 'volumesnapshots' && has({source}.persistentVolumeClaimName) \
                     && {named})"
                )
            }
        })
    };
    let parts: Vec<String> = resources.iter().map(part).collect::<Result<_, String>>()?;
    Ok(parts.join(" || "))
}

/// Whether a field is one of these words, a hyphen, and one of these ordinals, or any where none is named.
fn named(field: &str, words: &[String], ordinals: &[Ordinal]) -> Result<String, String> {
    if ordinals.is_empty() {
        let escaped = words.iter().map(|word| Ok(plain(word)?.replace('.', "[.]")));
        let escaped: Vec<String> = escaped.collect::<Result<_, String>>()?;
        return Ok(format!("{field}.matches('^({})-[0-9]+$')", escaped.join("|")));
    }
    let names: Vec<String> = words
        .iter()
        .flat_map(|word| ordinals.iter().map(move |ordinal| format!("{word}-{ordinal}")))
        .collect();
    Ok(format!("{field} in {}", quoted(names.iter().map(String::as_str))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(resource: DeniedResource, ordinals: &[Ordinal]) -> String {
        condition(&[resource], "db", &["data".into(), "log".into()], ordinals).expect("plain names")
    }

    #[test]
    fn only_named_members_are_denied() {
        assert_eq!(
            meant(DeniedResource::Pods, &[0, 2]),
            "(request.resource.resource == 'pods' && object.metadata.name in ['db-0', 'db-2'])"
        );
        assert_eq!(
            meant(DeniedResource::PersistentVolumeClaims, &[2]),
            "(request.resource.resource == 'persistentvolumeclaims' \
             && object.metadata.name in ['data-db-2', 'log-db-2'])"
        );
    }

    #[test]
    fn all_are_those_of_the_set_whatever_their_number_and_no_other_sets() {
        assert_eq!(
            meant(DeniedResource::PersistentVolumeClaims, &[]),
            "(request.resource.resource == 'persistentvolumeclaims' \
             && object.metadata.name.matches('^(data-db|log-db)-[0-9]+$'))"
        );
        let dotted = condition(&[DeniedResource::Pods], "a.b", &[], &[]).expect("a plain name");
        assert!(dotted.contains("'^(a[.]b)-[0-9]+$'"), "a dot is only a dot: {dotted}");
    }

    #[test]
    fn snapshots_are_told_by_the_claims_that_they_are_of() {
        assert_eq!(
            meant(DeniedResource::VolumeSnapshots, &[1]),
            "(request.resource.resource == 'volumesnapshots' && has(object.spec.source.persistentVolumeClaimName) \
             && object.spec.source.persistentVolumeClaimName in ['data-db-1', 'log-db-1'])"
        );
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        for ordinals in [&[0][..], &[]] {
            assert!(condition(&[DeniedResource::Pods], "x' || true || 'x", &[], ordinals).is_err());
        }
    }
}
