"""The main job through an unmodified python-gitlab, one named check after the other.

Called with the server's URL and a token of `root`; exits with 1 at the first check that fails.
"""

import io
import sys
import time
import zipfile

import gitlab

URL, TOKEN = sys.argv[1], sys.argv[2]

CONFIG = """
stages: [build, test, deploy]

compile:
  stage: build
  script:
    - echo "compiling $CI_COMMIT_SHORT_SHA"
    - mkdir -p out/deep
    - cat source.txt > out/binary
    - printf 'deep' > out/deep/file.txt
  artifacts:
    paths: [out/]

check:
  stage: test
  script:
    - test "$(cat out/binary)" = "the source"
    - echo "checked by $GITLAB_USER_LOGIN"

flaky:
  stage: test
  needs: []
  allow_failure: true
  script:
    - echo "about to fail"
    - exit 7

approve:
  stage: deploy
  when: manual
  script:
    - echo "approved with $ANSWER"

sleeper:
  stage: deploy
  needs: []
  when: manual
  script:
    - echo "sleeping"
    - sleep 600
"""

REVIEW = """
review:
  script: [echo deployed]
  environment:
    name: review/$CI_COMMIT_REF_SLUG
    url: https://$CI_ENVIRONMENT_SLUG.example.com
    on_stop: stop
    auto_stop_in: 1 day
stop:
  script: [echo gone]
  when: manual
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
"""

UPSTREAM = """
child:
  trigger: {include: child.yml, strategy: depend}
other:
  trigger: {project: team/below, strategy: depend}
later:
  when: manual
  trigger: team/below
"""

checks = []


def check(test):
    checks.append(test)
    return test


def wait(reload, done, what, seconds=60):
    """Polls until `done`, as python-gitlab's users do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        it = reload()
        if done(it):
            return it
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen; last seen: {it.attributes}")


class State:
    """What one check leaves for the next."""


@check
def signs_in(gl, s):
    gl.auth()
    assert gl.user.username == "root", gl.user.attributes
    version, _ = gl.version()
    assert int(version.split(".")[0]) >= 16, version


@check
def refuses_a_wrong_token(gl, s):
    try:
        gitlab.Gitlab(URL, private_token="glpat-wrong").auth()
    except gitlab.GitlabAuthenticationError as error:
        assert error.response_code == 401
        assert error.error_message == "401 Unauthorized", error.error_message
    else:
        raise AssertionError("a wrong token was accepted")


@check
def makes_a_group_and_a_project(gl, s):
    group = gl.groups.create({"name": "Team", "path": "team"})
    sub = gl.groups.create({"name": "Sub", "path": "sub", "parent_id": group.id})
    s.project = gl.projects.create({"name": "main-job", "namespace_id": sub.id})
    assert s.project.path_with_namespace == "team/sub/main-job"
    assert s.project.visibility == "private"
    assert gl.projects.get("team/sub/main-job").id == s.project.id
    assert s.project.id in [p.id for p in gl.projects.list(iterator=True)]


@check
def commits_sources_then_the_configuration(gl, s):
    commit = s.project.commits.create(
        {
            "branch": "main",
            "commit_message": "Add the source [skip ci]",
            "actions": [{"action": "create", "file_path": "source.txt", "content": "the source"}],
        }
    )
    assert len(commit.id) == 40
    skipped = s.project.pipelines.list(get_all=True)
    assert [p.status for p in skipped] == ["skipped"], [p.attributes for p in skipped]
    s.project.files.create(
        {
            "file_path": ".gitlab-ci.yml",
            "branch": "main",
            "content": CONFIG,
            "commit_message": "Add the pipeline",
        }
    )
    assert s.project.files.get("source.txt", ref="main").decode() == b"the source"
    names = [entry["name"] for entry in s.project.repository_tree(get_all=True)]
    assert sorted(names) == [".gitlab-ci.yml", "source.txt"], names


@check
def waits_for_the_pipeline(gl, s):
    s.pipeline = s.project.pipelines.list(ref="main", source="push", get_all=False)[0]
    done = wait(
        lambda: s.project.pipelines.get(s.pipeline.id),
        lambda p: p.status in ("success", "failed", "canceled", "skipped", "manual"),
        "the end of the pipeline",
    )
    assert done.status == "success", [(j.name, j.status) for j in done.jobs.list(get_all=True)]
    assert done.detailed_status["label"] == "passed with warnings", done.detailed_status
    assert done.user["username"] == "root"
    assert isinstance(done.duration, int)
    s.jobs = {job.name: job for job in done.jobs.list(get_all=True)}
    statuses = {name: job.status for name, job in s.jobs.items()}
    assert statuses == {
        "compile": "success",
        "check": "success",
        "flaky": "failed",
        "approve": "manual",
        "sleeper": "manual",
    }, statuses
    assert s.project.pipelines.latest(ref="main").id == s.pipeline.id


@check
def filters_lists(gl, s):
    failed = s.project.jobs.list(scope=["failed"], get_all=True)
    assert [job.name for job in failed] == ["flaky"]
    manual = s.project.pipelines.get(s.pipeline.id).jobs.list(scope="manual", get_all=True)
    assert sorted(job.name for job in manual) == ["approve", "sleeper"]
    assert s.project.pipelines.list(status="failed", get_all=True) == []
    one = s.project.jobs.list(per_page=1, page=2, get_all=False)
    assert len(one) == 1
    ids = [job.id for job in s.project.jobs.list(per_page=2, iterator=True)]
    assert len(ids) == 5 and ids == sorted(ids, reverse=True), ids
    try:
        s.project.jobs.list(scope=["bogus"], get_all=True)
    except gitlab.GitlabListError as error:
        assert error.response_code == 400
        assert error.error_message == "scope does not have a valid value", error.error_message
    else:
        raise AssertionError("a bogus scope was accepted")


@check
def reads_each_trace(gl, s):
    expected = {
        "compile": b"compiling " + s.pipeline.sha[:8].encode(),
        "check": b"checked by root",
        "flaky": b"about to fail",
    }
    for name, text in expected.items():
        trace = s.project.jobs.get(s.jobs[name].id).trace()
        assert text in trace, trace
        assert b"section_start:" in trace, trace
    assert b"exit code 7" in s.project.jobs.get(s.jobs["flaky"].id).trace() or b"exit status 7" in s.project.jobs.get(
        s.jobs["flaky"].id
    ).trace()
    flaky = s.project.jobs.get(s.jobs["flaky"].id)
    assert flaky.failure_reason == "script_failure" and flaky.allow_failure is True
    assert s.project.jobs.get(s.jobs["approve"].id).trace() == b""


@check
def downloads_artifacts_whole_streamed_and_by_path(gl, s):
    job = s.project.jobs.get(s.jobs["compile"].id)
    assert job.artifacts_file["filename"] == "artifacts.zip"
    whole = job.artifacts()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.read("out/binary") == b"the source"
        assert archive.read("out/deep/file.txt") == b"deep"
    streamed = io.BytesIO()
    job.artifacts(streamed=True, action=streamed.write)
    assert streamed.getvalue() == whole
    assert job.artifact("out/deep/file.txt") == b"deep"
    assert s.project.artifacts.raw("main", "out/binary", "compile") == b"the source"
    assert s.project.artifacts.download("main", "compile") == whole
    # The slashes are encoded, or the client itself would walk up the path.
    for path, status in [("out/nothing", 404), ("..%2Fetc%2Fpasswd", 400), ("out%2F..%2F..%2Fx", 400)]:
        try:
            job.artifact(path)
        except gitlab.GitlabGetError as error:
            assert error.response_code == status, (path, error)
        else:
            raise AssertionError(f"{path} was served")
    job.keep_artifacts()
    assert s.project.jobs.get(job.id).artifacts_expire_at is None


@check
def plays_the_manual_job(gl, s):
    s.project.jobs.get(s.jobs["approve"].id).play()
    done = wait(
        lambda: s.project.jobs.get(s.jobs["approve"].id),
        lambda job: job.status in ("success", "failed"),
        "the end of the played job",
    )
    assert done.status == "success", done.attributes
    assert b"approved with" in done.trace()
    try:
        s.project.jobs.get(s.jobs["check"].id).play()
        raise AssertionError("a job that is not manual was played")
    except gitlab.GitlabJobPlayError as error:
        assert error.response_code == 400
        assert "Unplayable Job" in str(error.error_message)


@check
def cancels_a_sleeping_job(gl, s):
    sleeper = s.project.jobs.get(s.jobs["sleeper"].id)
    sleeper.play()
    wait(
        lambda: s.project.jobs.get(sleeper.id),
        lambda job: b"sleeping" in job.trace(),
        "the sleeping job's first output",
    )
    sleeper.cancel()
    done = wait(
        lambda: s.project.jobs.get(sleeper.id),
        lambda job: job.status == "canceled",
        "the cancel of the sleeping job",
        20,
    )
    assert done.finished_at is not None


@check
def retries_a_failed_job(gl, s):
    old = s.project.jobs.get(s.jobs["flaky"].id)
    new = old.retry()
    assert new["id"] > old.id and new["name"] == "flaky", new
    wait(
        lambda: s.project.jobs.get(new["id"]),
        lambda job: job.status == "failed",
        "the end of the retried job",
    )
    pipeline = s.project.pipelines.get(s.pipeline.id)
    latest = [job.id for job in pipeline.jobs.list(get_all=True) if job.name == "flaky"]
    assert latest == [new["id"]], latest
    every = pipeline.jobs.list(include_retried=True, get_all=True)
    assert sorted(job.id for job in every if job.name == "flaky") == [old.id, new["id"]]
    pipeline.retry()
    wait(
        lambda: s.project.pipelines.get(s.pipeline.id),
        lambda p: p.status in ("success", "failed", "canceled"),
        "the end of the retried pipeline",
    )


@check
def creates_a_pipeline_with_variables(gl, s):
    pipeline = s.project.pipelines.create({"ref": "main", "variables": [{"key": "ANSWER", "value": "42"}]})
    assert pipeline.source == "api"
    variables = pipeline.variables.list(get_all=True)
    assert [(v.key, v.value, v.variable_type) for v in variables] == [("ANSWER", "42", "env_var")]
    wait(
        lambda: s.project.pipelines.get(pipeline.id),
        lambda p: p.status == "success",
        "the end of the second pipeline",
    )
    approve = [job for job in pipeline.jobs.list(get_all=True) if job.name == "approve"][0]
    s.project.jobs.get(approve.id, lazy=True).play()
    done = wait(lambda: s.project.jobs.get(approve.id), lambda job: job.status == "success", "the approval")
    assert b"approved with 42" in done.trace()
    s.second = pipeline


@check
def triggers_a_pipeline_without_a_user(gl, s):
    trigger = s.project.triggers.create({"description": "mytrigger"})
    assert [t.id for t in s.project.triggers.list(get_all=True)] == [trigger.id]
    assert s.project.triggers.get(trigger.id).token == trigger.token
    trigger.description = "renamed"
    trigger.save()
    assert s.project.triggers.get(trigger.id).description == "renamed"
    anonymous = gitlab.Gitlab(URL)
    project = anonymous.projects.get(s.project.id, lazy=True)
    made = project.trigger_pipeline("main", trigger.token, variables={"ANSWER": "43"})
    assert made.source == "trigger" and made.user["username"] == "root", made.attributes
    pipeline = wait(
        lambda: s.project.pipelines.get(made.id),
        lambda p: p.finished_at is not None,
        "the end of the triggered pipeline",
    )
    variables = {v.key: v for v in pipeline.variables.list(get_all=True)}
    assert variables["ANSWER"].value == "43" and variables["TRIGGER_PAYLOAD"].variable_type == "file"
    approve = [job for job in pipeline.jobs.list(get_all=True) if job.name == "approve"][0]
    s.project.jobs.get(approve.id, lazy=True).play()
    done = wait(lambda: s.project.jobs.get(approve.id), lambda job: job.status == "success", "the approval")
    assert b"approved with 43" in done.trace()
    assert s.project.triggers.get(trigger.id).last_used == made.created_at
    trigger.delete()
    try:
        project.trigger_pipeline("main", trigger.token)
    except gitlab.GitlabCreateError as error:
        assert error.response_code == 404, error
    else:
        raise AssertionError("a deleted token started a pipeline")


@check
def plays_a_schedule(gl, s):
    schedule = s.project.pipelineschedules.create(
        {"ref": "main", "description": "Daily test", "cron": "0 1 * * *", "cron_timezone": "Europe/Berlin"}
    )
    assert schedule.ref == "refs/heads/main" and schedule.next_run_at, schedule.attributes
    schedule.cron = "1 2 * * *"
    schedule.save()
    schedule = s.project.pipelineschedules.get(schedule.id)
    assert schedule.cron == "1 2 * * *" and schedule.attributes["variables"] == [], schedule.attributes
    variable = schedule.variables.create({"key": "ANSWER", "value": "0"})
    variable.value = "44"
    variable.save()
    schedule.variables.create({"key": "OTHER", "value": "1"}).delete()
    schedule = s.project.pipelineschedules.get(schedule.id)
    assert [(v["key"], v["value"]) for v in schedule.attributes["variables"]] == [("ANSWER", "44")]
    schedule.take_ownership()
    # The client puts the answer, a message, in place of the schedule's fields.
    lazy = s.project.pipelineschedules.get(schedule.id, lazy=True)
    lazy.play()
    schedule = wait(lambda: s.project.pipelineschedules.get(schedule.id), lambda it: it.last_pipeline, "the run")
    pipeline = s.project.pipelines.get(schedule.last_pipeline["id"])
    assert pipeline.source == "schedule", pipeline.attributes
    assert [p.id for p in schedule.pipelines.list(get_all=True)] == [pipeline.id]
    wait(lambda: s.project.pipelines.get(pipeline.id), lambda p: p.finished_at is not None, "the end of the run")
    approve = [job for job in pipeline.jobs.list(get_all=True) if job.name == "approve"][0]
    s.project.jobs.get(approve.id, lazy=True).play()
    done = wait(lambda: s.project.jobs.get(approve.id), lambda job: job.status == "success", "the approval")
    assert b"approved with 44" in done.trace()
    assert [it.id for it in s.project.pipelineschedules.list(get_all=True)] == [schedule.id]
    schedule.delete()
    assert s.project.pipelineschedules.list(get_all=True) == []


@check
def reports_statuses_of_a_commit(gl, s):
    project = gl.projects.create({"name": "statuses"})
    files = [{"action": "create", "file_path": "a", "content": "a"}]
    commit = project.commits.create({"branch": "main", "commit_message": "First", "actions": files})
    data = {"state": "running", "name": "other-ci", "target_url": "https://other.example/1", "description": "Builds"}
    status = commit.statuses.create(data)
    assert (status.status, status.ref, status.sha) == ("running", "main", commit.id), status.attributes
    assert status.author["username"] == "root"
    ended = commit.statuses.create({"state": "success", "name": "other-ci", "coverage": 91.5})
    assert ended.id == status.id and ended.coverage == 91.5, ended.attributes
    listed = commit.statuses.list(get_all=True)
    assert [(it.name, it.status) for it in listed] == [("other-ci", "success")]
    pipeline = project.pipelines.get(status.pipeline_id)
    assert (pipeline.source, pipeline.status) == ("external", "success"), pipeline.attributes
    assert pipeline.jobs.list(get_all=True) == []
    try:
        commit.statuses.create({"state": "odd"})
    except gitlab.GitlabCreateError as error:
        assert error.response_code == 400
        assert error.error_message == "state does not have a valid value", error.error_message
    else:
        raise AssertionError("an odd state was accepted")


@check
def keeps_hooks(gl, s):
    data = {"url": "https://hooks.example/ci", "push_events": False, "job_events": True, "token": "secret"}
    hook = s.project.hooks.create(data)
    assert (hook.push_events, hook.job_events, hook.alert_status) == (False, True, "executable"), hook.attributes
    assert "token" not in hook.attributes
    hook.pipeline_events = True
    hook.job_events = False
    hook.save()
    hook = s.project.hooks.get(hook.id)
    assert (hook.pipeline_events, hook.job_events, hook.url) == (True, False, data["url"])
    assert [it.id for it in s.project.hooks.list(get_all=True)] == [hook.id]
    hook.delete()
    assert s.project.hooks.list(get_all=True) == []


@check
def refuses_an_unknown_ref(gl, s):
    try:
        s.project.pipelines.create({"ref": "no-such-branch"})
    except gitlab.GitlabCreateError as error:
        assert error.response_code == 400
        assert error.error_message == {"base": ["Reference not found"]}, error.error_message
    else:
        raise AssertionError("an unknown ref was accepted")


@check
def keeps_a_pipeline_for_a_broken_configuration(gl, s):
    cases = {
        "unreadable": "job: [",
        "no-script": "job:\n  stage: test\n",
        "cycle": "a: {script: [x], needs: [b]}\nb: {script: [x], needs: [a]}\n",
        "missing-include": "include: {local: /nothing.yml}\njob: {script: [x]}\n",
    }
    for branch, config in cases.items():
        s.project.commits.create(
            {
                "branch": branch,
                "start_branch": "main",
                "commit_message": f"Break it: {branch}",
                "actions": [{"action": "update", "file_path": ".gitlab-ci.yml", "content": config}],
            }
        )
        broken = s.project.pipelines.list(ref=branch, get_all=True)
        assert len(broken) == 1, branch
        broken = s.project.pipelines.get(broken[0].id)
        assert broken.status == "failed" and broken.yaml_errors, broken.attributes
        try:
            s.project.pipelines.create({"ref": branch})
        except gitlab.GitlabCreateError as error:
            assert error.response_code == 400, error
        else:
            raise AssertionError(f"{branch} was accepted")


@check
def erases_a_job(gl, s):
    job = s.project.jobs.get(s.jobs["compile"].id)
    job.erase()
    erased = s.project.jobs.get(job.id)
    assert erased.erased_at is not None and erased.attributes["artifacts"] == []
    assert erased.trace() == b""
    try:
        erased.artifacts_file
    except AttributeError:
        pass
    else:
        raise AssertionError("an erased job still shows an archive")


@check
def merges_a_request_after_its_pipeline(gl, s):
    project = gl.projects.create({"name": "requests", "initialize_with_readme": True})
    config = """
test:
  script: [echo "for $CI_MERGE_REQUEST_IID of $CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"]
  rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]
"""
    project.commits.create(
        {
            "branch": "feature",
            "start_branch": "main",
            "commit_message": "Add the pipeline",
            "actions": [{"action": "create", "file_path": ".gitlab-ci.yml", "content": config}],
        }
    )
    request = project.mergerequests.create(
        {"source_branch": "feature", "target_branch": "main", "title": "Add it", "labels": ["ci"]}
    )
    assert (request.iid, request.state, request.labels) == (1, "opened", ["ci"]), request.attributes
    assert [it.iid for it in project.mergerequests.list(state="opened", get_all=True)] == [1]
    (pipeline,) = request.pipelines.list(get_all=True)
    assert (pipeline.ref, pipeline.source) == ("refs/merge-requests/1/head", "merge_request_event")
    again = request.pipelines.create({})
    for one in (pipeline, again):
        done = wait(
            lambda: project.pipelines.get(one.id), lambda p: p.status in ("success", "failed"), "the request's pipeline"
        )
        assert done.status == "success", done.attributes
    (job,) = project.pipelines.get(pipeline.id).jobs.list(get_all=True)
    assert b"for 1 of feature" in project.jobs.get(job.id).trace()
    try:
        project.mergerequests.create({"source_branch": "feature", "target_branch": "main", "title": "Again"})
    except gitlab.GitlabCreateError as error:
        assert error.response_code == 409, error
    else:
        raise AssertionError("a second request for the same branch was opened")
    request = project.mergerequests.get(1)
    assert request.head_pipeline["id"] == again.id and request.detailed_merge_status == "mergeable"
    request.title = "Add it now"
    request.save()
    request.merge(should_remove_source_branch=True)
    merged = project.mergerequests.get(1)
    assert (merged.state, merged.title) == ("merged", "Add it now"), merged.attributes
    assert project.commits.get("main").id == merged.merge_commit_sha
    assert [branch.name for branch in project.branches.list(get_all=True)] == ["main"]
    fork = project.forks.create({"path": "fork", "name": "fork"})
    assert fork.forked_from_project["id"] == project.id
    assert [it.id for it in project.forks.list(get_all=True)] == [fork.id]


@check
def finds_downstream_pipelines_by_their_bridges(gl, s):
    group = gl.groups.get("team").id

    def project(name, files):
        made = gl.projects.create({"name": name, "namespace_id": group})
        actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
        made.commits.create({"branch": "main", "commit_message": "[skip ci]", "actions": actions})
        return made

    inner = "inner: {script: [echo inside]}\n"
    below = project("below", {".gitlab-ci.yml": inner})
    above = project("above", {".gitlab-ci.yml": UPSTREAM, "child.yml": inner})
    pipeline = above.pipelines.create({"ref": "main"})
    wait(lambda: above.pipelines.get(pipeline.id), lambda p: p.status == "success", "the end of the upstream")
    bridges = {bridge.name: bridge for bridge in pipeline.bridges.list(get_all=True)}
    statuses = {name: bridge.status for name, bridge in bridges.items()}
    assert statuses == {"child": "success", "other": "success", "later": "manual"}, statuses
    assert [b.name for b in pipeline.bridges.list(scope="manual", get_all=True)] == ["later"]
    assert pipeline.jobs.list(get_all=True) == []
    for name, where, source in [("child", above, "parent_pipeline"), ("other", below, "pipeline")]:
        bridge = bridges[name]
        assert bridge.pipeline["id"] == pipeline.id and bridge.user["username"] == "root", bridge.attributes
        found = bridge.downstream_pipeline
        assert (found["project_id"], found["source"], found["status"]) == (where.id, source, "success"), found
        (job,) = where.pipelines.get(found["id"]).jobs.list(get_all=True)
        assert b"inside" in where.jobs.get(job.id).trace()
    assert bridges["later"].downstream_pipeline is None
    child = bridges["child"].downstream_pipeline["id"]
    assert child not in [p.id for p in above.pipelines.list(get_all=True)]
    assert [p.id for p in above.pipelines.list(source="parent_pipeline", get_all=True)] == [child]
    above.jobs.get(bridges["later"].id, lazy=True).play()
    later = wait(
        lambda: next(b for b in pipeline.bridges.list(get_all=True) if b.name == "later"),
        lambda bridge: bridge.status == "success",
        "the played bridge",
    )
    assert later.downstream_pipeline["project_id"] == below.id


@check
def deletes_the_pipeline(gl, s):
    s.second.delete()
    try:
        s.project.pipelines.get(s.second.id)
    except gitlab.GitlabGetError as error:
        assert error.response_code == 404
        assert error.error_message == "404 Not found", error.error_message
    else:
        raise AssertionError("a deleted pipeline was found")


@check
def deploys_to_an_environment_and_stops_it(gl, s):
    s.project.commits.create(
        {
            "branch": "topic",
            "start_branch": "main",
            "commit_message": "Deploy it",
            "actions": [{"action": "update", "file_path": ".gitlab-ci.yml", "content": REVIEW}],
        }
    )
    found = s.project.environments.list(name="review/topic", get_all=True)
    assert [it.state for it in found] == ["available"], found
    there = wait(
        lambda: s.project.environments.get(found[0].id),
        lambda it: it.last_deployment is not None,
        "the deployment",
    )
    assert there.external_url == f"https://{there.slug}.example.com", there.attributes
    assert there.tier == "development" and there.auto_stop_at is not None
    assert there.last_deployment["deployable"]["name"] == "review"
    assert s.project.environments.list(search="review", states="stopped", get_all=True) == []
    there.stop()
    wait(lambda: s.project.environments.get(there.id), lambda it: it.state == "stopped", "the stop")
    there.delete()
    try:
        s.project.environments.get(there.id)
    except gitlab.GitlabGetError as error:
        assert error.response_code == 404, error
    else:
        raise AssertionError("a deleted environment was found")
    new = s.project.environments.create({"name": "production", "external_url": "https://old.example.com"})
    new.external_url = "https://new.example.com"
    new.save()
    assert s.project.environments.get(new.id).external_url == "https://new.example.com"


@check
def reports_a_deployment(gl, s):
    sha = s.project.commits.get("main").id
    made = s.project.deployments.create(
        {"environment": "production", "sha": sha, "ref": "main", "tag": False, "status": "running"}
    )
    assert made.deployable is None and made.user["username"] == "root", made.attributes
    made.status = "success"
    made.save()
    listed = s.project.deployments.list(environment="production", status="success", get_all=True)
    assert [it.id for it in listed] == [made.id]
    assert s.project.deployments.get(made.id).environment["name"] == "production"
    assert made.mergerequests.list(get_all=True) == []
    try:
        s.project.deployments.delete(made.id)
    except gitlab.GitlabDeleteError as error:
        assert error.error_message == "Deployment currently deployed to environment", error
    except AttributeError:
        # This client cannot delete deployments.
        pass


@check
def reports_a_status_of_another_system(gl, s):
    commit = s.project.commits.get("main")
    for state in ["running", "success"]:
        made = commit.statuses.create(
            {"state": state, "name": "scan", "target_url": "https://scan.example.com/1", "coverage": 87.5}
        )
        assert (made.status, made.name, made.sha) == (state, "scan", commit.id), made.attributes
    listed = commit.statuses.list(name="scan", get_all=True)
    assert [(it.status, it.target_url, it.coverage) for it in listed] == [
        ("success", "https://scan.example.com/1", 87.5)
    ], [it.attributes for it in listed]
    try:
        commit.statuses.create({"state": "tea", "name": "scan"})
    except gitlab.GitlabCreateError as error:
        assert error.response_code == 400, error
    else:
        raise AssertionError("a status that is none was accepted")


@check
def keeps_a_hook(gl, s):
    hook = s.project.hooks.create(
        {"url": "https://hooks.example.com/x", "deployment_events": True, "merge_requests_events": True}
    )
    assert hook.push_events and hook.deployment_events and hook.merge_requests_events, hook.attributes
    hook.push_events = False
    hook.save()
    assert s.project.hooks.get(hook.id).push_events is False
    assert [it.id for it in s.project.hooks.list(get_all=True)] == [hook.id]
    hook.delete()
    assert s.project.hooks.list(get_all=True) == []


def main():
    gl = gitlab.Gitlab(URL, private_token=TOKEN)
    state = State()
    for test in checks:
        start = time.monotonic()
        try:
            test(gl, state)
        except BaseException:
            print(f"not ok - {test.__name__}", flush=True)
            raise
        print(f"ok - {test.__name__} ({time.monotonic() - start:.2f} s)", flush=True)


main()
