import java.time.OffsetDateTime;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;

import org.reveille.ApiClient;
import org.reveille.ApiException;
import org.reveille.api.JobsApi;
import org.reveille.api.TasksApi;
import org.reveille.model.ConflictPolicy;
import org.reveille.model.JobCreate;
import org.reveille.model.JobDetails;
import org.reveille.model.JobInclude;
import org.reveille.model.JobPage;
import org.reveille.model.JobStatus;
import org.reveille.model.ProblemDetails;
import org.reveille.model.SubmissionOutcome;
import org.reveille.model.SubmittedJob;

/** What every client does: submit, wait, list, and be refused. Needs REVEILLE_URL and REVEILLE_TOKEN. */
public class Driver {
    interface Call {
        Object run() throws ApiException;
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(found + " is not " + expected);
        }
    }

    /** The problem with which the service refuses a call. */
    static ProblemDetails refused(int status, Call call) throws Exception {
        try {
            throw new AssertionError("not refused: " + call.run());
        } catch (ApiException error) {
            equal(error.getCode(), status);
            return ApiClient.createDefaultObjectMapper().readValue(error.getResponseBody(), ProblemDetails.class);
        }
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("REVEILLE_URL"));
        String token = "Bearer " + System.getenv("REVEILLE_TOKEN");
        client.setRequestInterceptor(request -> request.header("Authorization", token));
        JobsApi jobs = new JobsApi(client);
        String key = "java-" + UUID.randomUUID();

        Object payload = Map.of("n", 7, "text", "grüße");
        JobCreate job = new JobCreate().task("echo").payload(payload).addTagsItem(key);
        SubmittedJob done = jobs.submitJob(job, 20, null, key);
        equal(jobs.submitJob(job, null, null, key).getJobId(), done.getJobId());
        equal(done.getStatus(), JobStatus.COMPLETED);
        equal(done.getOutcome(), SubmissionOutcome.CREATED);
        equal(done.getResult(), payload);

        JobDetails ended = jobs.getJob(done.getJobId(), 20, null, null);
        equal(ended.getPayload(), payload);
        equal(ended.getAttemptCount(), 1);

        JobPage page = jobs.listJobs(List.of(JobStatus.COMPLETED, JobStatus.FAILED), null, null, List.of(key),
            null, null, null, null, List.of(JobInclude.PAYLOAD), null, null);
        equal(page.getData().size(), 1);
        equal(page.getData().get(0).getJobId(), done.getJobId());
        equal(page.getData().get(0).getPayload(), payload);

        equal(refused(404, () -> jobs.getJob(UUID.randomUUID(), null, null, null)).getCode(), "job_not_found");

        JobCreate both =
            new JobCreate().payload(1).delaySeconds(1.0).runAt(OffsetDateTime.parse("2030-01-31T08:00:00Z"));
        ProblemDetails wrong = refused(422, () -> jobs.submitJob(both, null, null, null));
        equal(wrong.getCode(), "validation_failed");
        equal(wrong.getErrors().get(0).getPointer(), "/delay_seconds");

        JobCreate later =
            new JobCreate().payload(1).delaySeconds(600.0).uniqueKey(key).onConflict(ConflictPolicy.REJECT);
        SubmittedJob first = jobs.submitJob(later, null, null, null);
        ProblemDetails taken = refused(409, () -> jobs.submitJob(later, null, null, null));
        equal(taken.getCode(), "unique_key_conflict");
        equal(taken.getJobId(), first.getJobId());
        jobs.cancelJob(first.getJobId());

        equal(new TasksApi(client).listTasks().getData().stream().anyMatch(task -> task.getName().equals("echo")),
            true);
    }
}
