//! Which role somebody has by their groups at the provider.

use domain::Role;

/// Groups by the role that they give; the greatest one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRules {
    pub admins: Vec<String>,
    pub members: Vec<String>,
    pub viewers: Vec<String>,
    /// Of those who are in none of them; without it they are not let in.
    pub otherwise: Option<Role>,
}

impl RoleRules {
    /// Whether groups decide, and go on deciding at every login. Without groups a role is given once, and then an admin's
    /// to change.
    #[must_use]
    pub fn decide(&self) -> bool {
        [&self.admins, &self.members, &self.viewers].iter().any(|groups| !groups.is_empty())
    }

    /// The role of somebody in these groups.
    #[must_use]
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        let by_role =
            [(Role::Admin, &self.admins), (Role::Member, &self.members), (Role::Viewer, &self.viewers)];
        let is_in = |given: &[String]| given.iter().any(|group| groups.contains(group));
        let found = by_role.into_iter().find(|(_, given)| is_in(given));
        found.map(|(role, _)| role).or(self.otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_role_of_ones_groups_counts() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let rules = RoleRules {
            admins: list(&["ops"]),
            members: list(&["dev", "qa"]),
            viewers: list(&["all"]),
            otherwise: None,
        };
        let of = |names: &[&str]| rules.role_of(&list(names));
        assert_eq!(of(&["all", "dev", "ops"]), Some(Role::Admin));
        assert_eq!(of(&["all", "qa"]), Some(Role::Member));
        assert_eq!(of(&["all"]), Some(Role::Viewer));
        assert_eq!((of(&["Ops"]), of(&["op"]), of(&[])), (None, None, None), "letter by letter");
        let lenient = RoleRules { otherwise: Some(Role::Viewer), ..rules };
        assert_eq!(lenient.role_of(&[]), Some(Role::Viewer));
        assert_eq!(lenient.role_of(&list(&["ops"])), Some(Role::Admin));
    }
}
