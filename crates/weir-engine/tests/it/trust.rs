//! The table of trust: every act, level, code and approval, against a slow definition of its own.

use weir_api::AccessLevel;
use weir_engine::trust::{Act, Approval, Code, Facts, Guard, Place, Refusal, Rights, judge, place};

const HEAD: &str = "1111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222";

/// No guard, and every pair of levels that a protected ref may ask for; Admin stands for nobody.
fn guards() -> Vec<Option<Guard>> {
    let levels = [AccessLevel::Developer, AccessLevel::Maintainer, AccessLevel::Admin];
    let pairs = levels.into_iter().flat_map(|push| levels.map(|merge| Some(Guard { push, merge })));
    std::iter::once(None).chain(pairs).collect()
}

/// No approval, and one of either commit by somebody of each level.
fn approvals() -> Vec<Vec<Approval>> {
    let one = |sha: &str, level: AccessLevel| Approval { sha: sha.to_owned(), level };
    let mut all = vec![Vec::new()];
    for level in AccessLevel::ALL.iter().copied() {
        all.push(vec![one(HEAD, level)]);
        all.push(vec![one(OTHER, level)]);
        all.push(vec![one(OTHER, AccessLevel::Owner), one(HEAD, level)]);
    }
    all
}

/// Every code there can be.
fn codes(approvals: &[Vec<Approval>]) -> Vec<Code<'_>> {
    let mut codes = vec![Code::Unknown];
    for source in guards() {
        codes.push(Code::Ref(source));
        for target in guards() {
            for may_be_protected in [false, true] {
                codes.push(Code::Request { source, target, may_be_protected });
            }
        }
    }
    for approvals in approvals {
        for allowed in [false, true] {
            codes.push(Code::Foreign { sha: HEAD, approvals, allowed });
        }
    }
    codes
}

fn each(mut check: impl FnMut(Facts<'_>)) {
    let approvals = approvals();
    let mut count = 0;
    for code in codes(&approvals) {
        for act in Act::ALL.iter().copied() {
            for level in AccessLevel::ALL.iter().copied() {
                for has in [None, Some(Rights::Plain), Some(Rights::Protected)] {
                    check(Facts { act, level, code, has });
                    count += 1;
                }
            }
        }
    }
    assert!(count > 70_000, "only {count} rows");
}

/// Levels by their numbers on the wire, so that their order here is not the enum's.
fn at_least(level: AccessLevel, least: i64) -> bool {
    level.number() >= least
}

/// Whether somebody may push or merge, where 60 is nobody.
fn may_change(guard: Guard, level: AccessLevel) -> bool {
    [guard.push.number(), guard.merge.number()].iter().any(|least| *least != 60 && at_least(level, *least))
}

/// The rights of what may happen, none for what may not: as rules that forbid, one after the other.
fn expected(facts: Facts<'_>) -> Option<Rights> {
    let Facts { act, level, code, has } = facts;
    let by_runner = act == Act::Claim;
    // Nobody below Developer starts anything.
    if !by_runner && !at_least(level, 30) {
        return None;
    }
    let on_a_ref = matches!(code, Code::Ref(_));
    if matches!(act, Act::Cancel | Act::Report) && !on_a_ref {
        return Some(Rights::Plain);
    }
    match code {
        Code::Unknown => None,
        Code::Ref(None) => Some(has.unwrap_or(Rights::Plain)),
        Code::Ref(Some(guard)) => {
            (by_runner || may_change(guard, level)).then(|| has.unwrap_or(Rights::Protected))
        }
        Code::Request { source, target, may_be_protected } => {
            if by_runner {
                return Some(has.unwrap_or(Rights::Plain));
            }
            let changes_source = source.map(|guard| may_change(guard, level));
            let changes_target = target.map(|guard| may_change(guard, level));
            if changes_source == Some(false) {
                return None;
            }
            let protected = may_be_protected && changes_source == Some(true) && changes_target == Some(true);
            match (has, protected) {
                (Some(Rights::Protected), false) => None,
                (Some(has), _) => Some(has),
                (None, true) => Some(Rights::Protected),
                (None, false) => Some(Rights::Plain),
            }
        }
        Code::Foreign { sha, approvals, allowed } => {
            let mut approved = matches!(act, Act::Push | Act::Open | Act::Ask);
            for approval in approvals {
                approved = approved || (approval.sha == sha && at_least(approval.level, 30));
            }
            let forbidden = !allowed || !approved || has == Some(Rights::Protected);
            (!forbidden).then_some(Rights::Plain)
        }
    }
}

#[test]
fn every_act_on_every_code_by_every_role_is_as_defined() {
    each(|facts| assert_eq!(judge(facts).ok(), expected(facts), "{facts:?}"));
}

#[test]
fn what_others_wrote_never_has_what_is_protected() {
    each(|facts| {
        if matches!(facts.code, Code::Foreign { .. } | Code::Unknown) {
            assert_ne!(judge(facts), Ok(Rights::Protected), "{facts:?}");
        }
    });
}

#[test]
fn what_others_wrote_runs_only_once_somebody_with_the_right_let_exactly_that_run() {
    each(|facts| {
        let Code::Foreign { sha, approvals, .. } = facts.code else { return };
        let approved = approvals.iter().any(|it| it.sha == sha && it.level >= AccessLevel::Developer);
        if approved || !facts.act.runs() || judge(facts).is_err() {
            return;
        }
        // Then the act is the approval: the actor has the right, and named the commit.
        assert!(facts.level >= AccessLevel::Developer, "{facts:?}");
        assert!(matches!(facts.act, Act::Push | Act::Open | Act::Ask), "{facts:?}");
    });
}

#[test]
fn a_new_commit_needs_a_new_approval() {
    let approvals = [Approval { sha: HEAD.to_owned(), level: AccessLevel::Owner }];
    for act in Act::ALL.iter().copied().filter(|act| act.runs() && !act.approves()) {
        let of = |sha| Facts {
            act,
            level: AccessLevel::Owner,
            code: Code::Foreign { sha, approvals: &approvals, allowed: true },
            has: None,
        };
        assert_eq!(judge(of(HEAD)), Ok(Rights::Plain), "{act:?}");
        assert_eq!(judge(of(OTHER)), Err(Refusal::Approval), "{act:?}");
    }
}

#[test]
fn nobody_restarts_a_merge_requests_pipeline_with_rights_that_they_could_not_give() {
    each(|facts| {
        let Code::Request { .. } = facts.code else { return };
        let starts = facts.act.runs() && facts.act != Act::Claim;
        if starts && facts.has == Some(Rights::Protected) && judge(facts).is_ok() {
            assert_eq!(judge(Facts { has: None, ..facts }), Ok(Rights::Protected), "{facts:?}");
        }
    });
}

#[test]
fn a_request_runs_where_it_may_and_what_is_foreign_else_at_home() {
    each(|facts| {
        let wanted = match (expected(facts), facts.code) {
            (Some(_), _) => Some(Place::Target),
            (None, Code::Foreign { .. }) => Some(Place::Source),
            (None, _) => None,
        };
        assert_eq!(place(facts).ok(), wanted, "{facts:?}");
    });
}
