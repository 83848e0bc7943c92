package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// bedrockShape is an invocation of a model of Amazon Bedrock, as its invocation log
// in S3 and CloudWatch Logs has it
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html):
// who asked which model, with prompt and answer unless they are kept elsewhere.
func bedrockShape() jsonShape {
	return jsonShape{
		name:  "bedrock",
		all:   []string{"modelId", "operation", "requestId", "accountId"},
		times: []string{"timestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("operation")
			e.Source = model.LogSource{Product: "aws", Service: "bedrock"}
			e.Subsystem, e.Act = model.Application, model.ActAPICall
			var s entitySet
			if arn := doc.text("identity.arn"); strings.Contains(arn, ":assumed-role/") {
				s.roleSession(model.Actor, arn)
			} else {
				s.add(model.User, model.Actor, arn, "", "")
			}
			region, account, id := doc.text("region"), doc.text("accountId"), doc.text("modelId")
			if id != "" && !strings.HasPrefix(id, "arn:") { // a model of the provider's, the same for all
				id = "arn:aws:bedrock:" + region + "::foundation-model/" + id
			}
			s.add(model.Resource, model.Target, id, doc.text("modelId"), "")
			w.add(b, "eventName", e.Code)
			w.add(b, "eventSource", "bedrock.amazonaws.com")
			w.add(b, "awsRegion", region)
			w.add(b, "recipientAccountId", account)
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
