//! The documentation site, for messages: who installed the program from a package does not have `docs/`.

const SITE: &str = "https://trickle-labs.github.io/pgtrickle-action/";

/// The address of a page, such as `dbt.html#adapter`.
pub fn page(page: &str) -> String {
    format!("{SITE}{page}")
}

/// The address of a section, by its heading.
pub fn section(page_name: &str, heading: &str) -> String {
    page(&format!("{page_name}.html#{}", heading.to_lowercase().replace(' ', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_built_site() {
        let built = include_str!("../../docs/conf.py");
        assert!(built.contains(&format!("html_baseurl = \"{SITE}\"\n")));
    }

    #[test]
    fn a_heading_is_its_anchor() {
        let address = "https://trickle-labs.github.io/pgtrickle-action/pg_trickle.html#row-level-security";
        assert_eq!(section("pg_trickle", "Row level security"), address);
    }
}
