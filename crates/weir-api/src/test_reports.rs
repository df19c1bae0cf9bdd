//! Test reports of pipelines. Source: `app/serializers/test_{report,suite,case}_entity.rb`.

use serde::{Deserialize, Serialize};

use crate::Word;

/// What the tests of a pipeline did: `GET /projects/:id/pipelines/:id/test_report`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TestReport {
    /// How long they took, in seconds.
    pub total_time: f64,
    /// How many there are.
    pub total_count: i64,
    /// How many succeeded.
    pub success_count: i64,
    /// How many failed.
    pub failed_count: i64,
    /// How many were left out.
    pub skipped_count: i64,
    /// How many could not be run.
    pub error_count: i64,
    /// The suites, one per job.
    pub test_suites: Vec<TestSuite>,
}

/// The tests of one job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TestSuite {
    /// The job's name.
    pub name: String,
    /// How long they took, in seconds.
    pub total_time: f64,
    /// How many there are.
    pub total_count: i64,
    /// How many succeeded.
    pub success_count: i64,
    /// How many failed.
    pub failed_count: i64,
    /// How many were left out.
    pub skipped_count: i64,
    /// How many could not be run.
    pub error_count: i64,
    /// Why the report could not be read.
    pub suite_error: Option<String>,
    /// The tests.
    pub test_cases: Vec<TestCase>,
}

crate::status::vocabulary! {
    /// What a test did.
    TestCaseStatus, "test status" {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failed = "failed",
        /// It was left out.
        Skipped = "skipped",
        /// It could not be run.
        Error = "error",
    }
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestCase {
    /// What it did.
    pub status: Word<TestCaseStatus>,
    /// Its name.
    pub name: String,
    /// Where it belongs.
    pub classname: Option<String>,
    /// Where it stands.
    pub file: Option<String>,
    /// How long it took, in seconds.
    #[serde(default)]
    pub execution_time: f64,
    /// What it wrote; a text, or an object for unusual reports.
    pub system_output: Option<serde_json::Value>,
    /// Where it failed.
    pub stack_trace: Option<String>,
    /// How often it failed of late.
    pub recent_failures: Option<RecentFailures>,
    /// A file that it left; for tests with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_url: Option<String>,
}

/// How often a test failed of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentFailures {
    /// How often.
    pub count: i64,
    /// On which branch.
    pub base_branch: String,
}

/// The same without single tests: `GET /projects/:id/pipelines/:id/test_report_summary`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TestReportSummary {
    /// Of all suites.
    pub total: TestReportTotal,
    /// Of each suite.
    pub test_suites: Vec<TestSuiteSummary>,
}

/// The sums of all suites.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TestReportTotal {
    /// How long they took, in seconds.
    pub time: f64,
    /// How many there are.
    pub count: i64,
    /// How many succeeded.
    pub success: i64,
    /// How many failed.
    pub failed: i64,
    /// How many were left out.
    pub skipped: i64,
    /// How many could not be run.
    pub error: i64,
    /// Why a report could not be read.
    pub suite_error: Option<String>,
}

/// The sums of one suite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TestSuiteSummary {
    /// The job's name.
    pub name: String,
    /// How long they took, in seconds.
    pub total_time: f64,
    /// How many there are.
    pub total_count: i64,
    /// How many succeeded.
    pub success_count: i64,
    /// How many failed.
    pub failed_count: i64,
    /// How many were left out.
    pub skipped_count: i64,
    /// How many could not be run.
    pub error_count: i64,
    /// The jobs that made the report.
    pub build_ids: Vec<i64>,
    /// Why the report could not be read.
    pub suite_error: Option<String>,
}
