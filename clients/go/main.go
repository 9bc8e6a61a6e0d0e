// What every client does: submit, wait, list, and be refused. Needs REVEILLE_URL and REVEILLE_TOKEN.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"time"

	"contract/reveille"
)

func equal(found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		log.Panicf("%v is not %v", found, expected)
	}
}

func must[T any](value T, answer *http.Response, err error) T {
	if err != nil {
		log.Panicf("%v: %v", err, answer)
	}
	return value
}

// The problem with which the service refuses a call.
func refused[T any](value T, answer *http.Response, err error) (int, reveille.ProblemDetails) {
	var refusal *reveille.GenericOpenAPIError
	if !errors.As(err, &refusal) {
		log.Panicf("not refused: %v, %v", value, err)
	}
	problem, known := refusal.Model().(reveille.ProblemDetails)
	if !known {
		log.Panicf("not a problem: %s", refusal.Body())
	}
	return answer.StatusCode, problem
}

func main() {
	configuration := reveille.NewConfiguration()
	configuration.Servers = reveille.ServerConfigurations{{URL: os.Getenv("REVEILLE_URL")}}
	client := reveille.NewAPIClient(configuration)
	ctx := context.WithValue(context.Background(), reveille.ContextAccessToken, os.Getenv("REVEILLE_TOKEN"))
	jobs := client.JobsAPI
	key := "go-" + strconv.FormatInt(time.Now().UnixNano(), 36)

	payload := map[string]any{"n": 7.0, "text": "grüße"}
	job := reveille.NewJobCreate(payload)
	job.SetTask("echo")
	job.SetTags([]string{key})
	done := must(jobs.SubmitJob(ctx).JobCreate(*job).Wait(20).IdempotencyKey(key).Execute())
	equal(must(jobs.SubmitJob(ctx).JobCreate(*job).IdempotencyKey(key).Execute()).JobId, done.JobId)
	equal(done.Status, reveille.JOBSTATUS_COMPLETED)
	equal(done.Outcome, reveille.SUBMISSIONOUTCOME_CREATED)
	equal(done.Result, payload)

	read := must(jobs.GetJob(ctx, done.JobId).Wait(20).Execute())
	equal(read.Payload, payload)
	equal(int(read.AttemptCount), 1)

	wanted := []reveille.JobStatus{reveille.JOBSTATUS_COMPLETED, reveille.JOBSTATUS_FAILED}
	page := must(jobs.ListJobs(ctx).Tag([]string{key}).Status(wanted).
		Include([]reveille.JobInclude{reveille.JOBINCLUDE_PAYLOAD}).Execute())
	equal(len(page.Data), 1)
	equal(page.Data[0].JobId, done.JobId)
	equal(page.Data[0].Payload, payload)

	status, problem := refused(jobs.GetJob(ctx, "0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0").Execute())
	equal(status, 404)
	equal(problem.Code, "job_not_found")

	both := reveille.NewJobCreate(1)
	both.SetDelaySeconds(1)
	both.SetRunAt(time.Date(2030, 1, 31, 8, 0, 0, 0, time.UTC))
	status, problem = refused(jobs.SubmitJob(ctx).JobCreate(*both).Execute())
	equal(status, 422)
	equal(problem.Code, "validation_failed")
	equal(problem.Errors[0].Pointer, "/delay_seconds")

	later := reveille.NewJobCreate(1)
	later.SetDelaySeconds(600)
	later.SetUniqueKey(key)
	later.SetOnConflict(reveille.CONFLICTPOLICY_REJECT)
	first := must(jobs.SubmitJob(ctx).JobCreate(*later).Execute())
	status, problem = refused(jobs.SubmitJob(ctx).JobCreate(*later).Execute())
	equal(status, 409)
	equal(problem.Code, "unique_key_conflict")
	equal(problem.GetJobId(), first.JobId)
	must(jobs.CancelJob(ctx, first.JobId).Execute())

	found := false
	for _, task := range must(client.TasksAPI.ListTasks(ctx).Execute()).Data {
		found = found || task.Name == "echo"
	}
	equal(found, true)
}
