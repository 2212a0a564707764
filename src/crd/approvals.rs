//! Who approved what, as far as the API server has noted it.

use super::Group0Upgrade;
use serde_json::Value;
use std::collections::BTreeMap;

/// What approves, as fields of managed fields name it.
const RUN: [&str; 2] = ["f:spec", "f:approvedRunID"];
const PLAN: [&str; 3] = ["f:spec", "f:recovery", "f:approvedPlanHash"];

impl Group0Upgrade {
    /// What is approved, a run by its id and a plan by its hash, and by whom: the field manager that set it. The API server notes no user of a
    /// field; its audit log, where it is kept, tells who used that manager then.
    pub fn approvals(&self) -> BTreeMap<String, String> {
        let run = self.spec.approved_run_id.clone().map(|run| (run, self.manager_of(&RUN, "spec.approvedRunID")));
        let plan = self.spec.recovery.approved_plan_hash.clone();
        let plan = plan.map(|hash| (hash, self.manager_of(&PLAN, "spec.recovery.approvedPlanHash")));
        run.into_iter().chain(plan).collect()
    }

    fn manager_of(&self, path: &[&str], field: &str) -> String {
        let entries = self.metadata.managed_fields.iter().flatten();
        let sets = |fields: &Value| path.iter().try_fold(fields, |at, name| at.get(name)).is_some();
        let mut setting = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| sets(&fields.0)));
        let manager = setting.find_map(|entry| entry.manager.clone());
        manager.unwrap_or_else(|| format!("whoever set {field}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approval_is_of_the_manager_that_owns_the_field() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Update", "fieldsV1": fields});
        let mut object = json!({
            "apiVersion": super::super::API_VERSION, "kind": super::super::KIND,
            "metadata": {"name": "demo", "managedFields": [
                entry("helm", json!({"f:spec": {"f:mode": {}, "f:recovery": {"f:mode": {}}}})),
                entry("kubectl-patch", json!({"f:spec": {"f:recovery": {"f:approvedPlanHash": {}}}})),
            ]},
            "spec": {"clusterRef": {"statefulSets": ["db"]}, "recovery": {"approvedPlanHash": "abc"}},
        });
        let approvals = |object: &Value| serde_json::from_value::<Group0Upgrade>(object.clone()).unwrap().approvals();
        assert_eq!(approvals(&object), BTreeMap::from([("abc".to_owned(), "kubectl-patch".to_owned())]));
        // Without an API server nobody notes it.
        object["metadata"] = json!({"name": "demo"});
        object["spec"]["approvedRunID"] = json!("run");
        assert_eq!(approvals(&object)["run"], "whoever set spec.approvedRunID");
    }
}
