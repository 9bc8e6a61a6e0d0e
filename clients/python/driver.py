"""What every client does: submit, wait, list, and be refused. Needs REVEILLE_URL and REVEILLE_TOKEN."""

import os
import uuid

import reveille_client as client
from reveille_client.models import ConflictPolicy, JobCreate, JobStatus, SubmissionOutcome


def refused(call):
    """The problem with which the service refuses a call."""
    try:
        answer = call()
    except client.ApiException as error:
        return error.status, error.data
    raise AssertionError(f"not refused: {answer}")


configuration = client.Configuration(
    host=os.environ["REVEILLE_URL"], access_token=os.environ["REVEILLE_TOKEN"]
)
with client.ApiClient(configuration) as api:
    jobs = client.JobsApi(api)
    key = f"python-{uuid.uuid4()}"

    payload = {"n": 7, "text": "grüße"}
    job = JobCreate(task="echo", payload=payload, tags=[key])
    done = jobs.submit_job(job, wait=20, idempotency_key=key)
    assert jobs.submit_job(job, idempotency_key=key).job_id == done.job_id
    assert done.status == JobStatus.COMPLETED and done.outcome == SubmissionOutcome.CREATED, done
    assert done.result == payload, done.result

    job = jobs.get_job(done.job_id, wait=20)
    assert job.payload == payload and job.attempt_count == 1, job

    page = jobs.list_jobs(tag=[key], status=[JobStatus.COMPLETED, JobStatus.FAILED], include=["payload"])
    assert [job.job_id for job in page.data] == [done.job_id] and page.data[0].payload == payload, page

    status, problem = refused(lambda: jobs.get_job(uuid.uuid4()))
    assert (status, problem.code) == (404, "job_not_found"), problem

    both = JobCreate(payload=1, delay_seconds=1, run_at="2030-01-31T08:00:00Z")
    status, problem = refused(lambda: jobs.submit_job(both))
    assert (status, problem.code) == (422, "validation_failed"), problem
    assert [place.pointer for place in problem.errors] == ["/delay_seconds"], problem

    later = JobCreate(payload=1, delay_seconds=600, unique_key=key, on_conflict=ConflictPolicy.REJECT)
    first = jobs.submit_job(later)
    status, problem = refused(lambda: jobs.submit_job(later))
    assert (status, problem.code, problem.job_id) == (409, "unique_key_conflict", first.job_id), problem
    jobs.cancel_job(first.job_id)

    assert any(task.name == "echo" for task in client.TasksApi(api).list_tasks().data)
