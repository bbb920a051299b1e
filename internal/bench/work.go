package bench

import "fmt"

// Event is the n-th event of W1: about 300 bytes of JSON, as a project app
// sends them.
func Event(n int) []byte {
	return fmt.Appendf(nil, `{"event":"task.completed","id":"ev-%08d","project":{"id":"P-12","name":"Garden"},"task":{"id":%d,"title":"Plant the apple tree","tags":["outdoor","spring"],"due":"2026-11-30","assignee":{"name":"Ada","mail":"Ada@Example.com"}},"completed_at":"2026-11-24T10:00:00Z"}`, n, n)
}

// Graph is W1 as a document: four mapped fields, a header and a query
// parameter, posted to a sink.
func Graph(sink string) []byte {
	return fmt.Appendf(nil, `name: w1
trigger: {use: webhook, with: {path: w1}}
steps:
  - id: entry
    use: http.post
    with:
      url: %s/entries
      query: {source: "${{ trigger.body.project.id }}"}
      headers: {X-Event: "${{ trigger.body.id }}"}
      body:
        title: "Task ${{ trigger.body.task.title }} is done"
        tags: ${{ trigger.body.task.tags }}
        due: ${{ trigger.body.task.due ?? null }}
        mail: ${{ lower(trigger.body.task.assignee.mail) }}
`, sink)
}
