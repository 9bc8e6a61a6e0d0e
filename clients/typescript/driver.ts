// What every client does: submit, wait, list, and be refused. Needs REVEILLE_URL and REVEILLE_TOKEN.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import {
    Configuration,
    ConflictPolicy,
    JobInclude,
    JobStatus,
    JobsApi,
    ProblemDetailsFromJSON,
    ResponseError,
    SubmissionOutcome,
    TasksApi,
} from "./index";

/** The problem with which the service refuses a call. */
async function refused(call: Promise<unknown>) {
    try {
        await call;
    } catch (error) {
        assert(error instanceof ResponseError, String(error));
        return { status: error.response.status, problem: ProblemDetailsFromJSON(await error.response.json()) };
    }
    throw new Error("not refused");
}

async function main() {
    const configuration = new Configuration({
        basePath: process.env.REVEILLE_URL,
        accessToken: process.env.REVEILLE_TOKEN,
    });
    const jobs = new JobsApi(configuration);
    const key = `typescript-${randomUUID()}`;

    const payload = { n: 7, text: "grüße" };
    const asked = { jobCreate: { task: "echo", payload, tags: [key] }, idempotencyKey: key };
    const done = await jobs.submitJob({ ...asked, wait: 20 });
    assert.equal((await jobs.submitJob(asked)).jobId, done.jobId);
    assert.equal(done.status, JobStatus.Completed);
    assert.equal(done.outcome, SubmissionOutcome.Created);
    assert.deepEqual(done.result, payload);

    const job = await jobs.getJob({ jobId: done.jobId, wait: 20 });
    assert.deepEqual(job.payload, payload);
    assert.equal(job.attemptCount, 1);

    const page = await jobs.listJobs({
        tag: [key],
        status: [JobStatus.Completed, JobStatus.Failed],
        include: [JobInclude.Payload],
    });
    assert.deepEqual(page.data.map((job) => job.jobId), [done.jobId]);
    assert.deepEqual(page.data[0].payload, payload);

    const missing = await refused(jobs.getJob({ jobId: randomUUID() }));
    assert.deepEqual([missing.status, missing.problem.code], [404, "job_not_found"]);

    const both = { payload: 1, delaySeconds: 1, runAt: new Date("2030-01-31T08:00:00Z") };
    const wrong = await refused(jobs.submitJob({ jobCreate: both }));
    assert.deepEqual([wrong.status, wrong.problem.code], [422, "validation_failed"]);
    assert.deepEqual(wrong.problem.errors?.map((place) => place.pointer), ["/delay_seconds"]);

    const later = { payload: 1, delaySeconds: 600, uniqueKey: key, onConflict: ConflictPolicy.Reject };
    const first = await jobs.submitJob({ jobCreate: later });
    const taken = await refused(jobs.submitJob({ jobCreate: later }));
    assert.deepEqual(
        [taken.status, taken.problem.code, taken.problem.jobId],
        [409, "unique_key_conflict", first.jobId],
    );
    await jobs.cancelJob({ jobId: first.jobId });

    const tasks = await new TasksApi(configuration).listTasks();
    assert(tasks.data.some((task) => task.name === "echo"));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
