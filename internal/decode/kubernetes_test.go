package decode

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// kubeEvent is an audit event of a request, with more members behind it.
func kubeEvent(user, verb, ref, more string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"7a","stage":"ResponseComplete",` +
		`"requestURI":"/api/v1","verb":"` + verb + `","user":{"username":"` + user + `","groups":["system:authenticated"]},` +
		`"sourceIPs":["203.0.113.5","10.0.0.1"],"objectRef":{` + ref + `},"responseStatus":{"metadata":{},"code":200},` +
		`"requestReceivedTimestamp":"2024-03-03T10:00:00.123456Z","stageTimestamp":"2024-03-03T10:00:01Z"` + more + `}`
}

func TestKubernetesAudit(t *testing.T) {
	const source, from = "kubernetes/application/audit", " ip/src=203.0.113.5"
	pod := `"resource":"pods","namespace":"shop","name":"web-1"`
	checkGolden(t, "kubernetes-audit", "", []golden{
		{strings.Replace(kubeEvent("Alice", "create", pod+`,"subresource":"exec"`, ""), `"/api/v1"`, `"/api/v1/namespaces/shop/pods/web-1/exec?command=sh&command=-c&command=id%20-a&stdin=true"`, 1),
			source, "remote_exec create pods/exec audit user/actor=alice" + from + " namespace/target=shop pod/subject=shop/web-1", []string{"CommandLine=sh -c id -a", "objectRef.subresource=exec"}},
		{kubeEvent("bob", "create", pod, `,"requestObject":{"spec":{"volumes":[{"hostPath":{"path":"/"}}],"containers":[{"image":"x","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}`),
			source, "config_change create pods audit user/actor=bob" + from + " namespace/target=shop pod/target=shop/web-1", []string{"hostPath=/", "capabilities=SYS_ADMIN"}},
		{kubeEvent("bob", "create", `"resource":"daemonsets","namespace":"shop","apiGroup":"apps"`,
			`,"requestObject":{"spec":{"template":{"spec":{"volumes":[{"hostPath":{"path":"/etc"}}]}}}},"responseObject":{"metadata":{"name":"ds-x"}}`),
			source, "config_change create daemonsets audit user/actor=bob" + from + " namespace/target=shop resource/target=daemonsets/shop/ds-x", []string{"hostPath=/etc"}},
		{kubeEvent("system:serviceaccount:shop:web", "list", `"resource":"secrets","namespace":"shop"`, ""),
			source, "object_read list secrets audit user/actor=system:serviceaccount:shop:web" + from + " namespace/target=shop", nil},
		{kubeEvent("system:node:n1", "get", `"resource":"secrets","namespace":"shop","name":"db"`, ""),
			source, "none get secrets audit user/actor=system:node:n1" + from + " namespace/target=shop resource/target=secrets/shop/db", nil},
		{kubeEvent("bob", "create", `"resource":"serviceaccounts","subresource":"token","namespace":"shop","name":"web"`, ""),
			source, "key_issued create serviceaccounts/token audit user/actor=bob" + from + " namespace/target=shop user/target=system:serviceaccount:shop:web", nil},
		{kubeEvent("bob", "create", `"resource":"clusterrolebindings","name":"b"`,
			`,"requestObject":{"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"Group","name":"g"},{"kind":"User","name":"Eve"},{"kind":"ServiceAccount","name":"ci","namespace":"dev"}]}`),
			source, "account_change create clusterrolebindings audit user/actor=bob" + from +
				" resource/target=clusterrolebindings/b role/target=cluster-admin user/target=eve user/target=system:serviceaccount:dev:ci", nil},
		{kubeEvent("bob", "delete", `"resource":"events","namespace":"shop","name":"x"`, ""),
			source, "log_cleared delete events audit user/actor=bob" + from + " namespace/target=shop resource/target=events/shop/x", nil},
		{kubeEvent("bob", "create", `"resource":"cronjobs","apiGroup":"batch","namespace":"shop","name":"tick"`, ""),
			source, "task_create create cronjobs audit user/actor=bob" + from + " namespace/target=shop app/object=cronjobs/shop/tick", nil},
		{strings.Replace(kubeEvent("system:anonymous", "list", `"resource":"pods"`, ""), `"code":200`, `"code":403`, 1),
			source, "api_call list pods audit user/actor=system:anonymous" + from, nil},
		{kubeEvent("system:anonymous", "list", `"resource":"pods"`, ""), source, "object_list list pods audit user/actor=system:anonymous" + from, nil},
		{strings.Replace(kubeEvent("bob", "create", pod, ""), "ResponseComplete", "RequestReceived", 1),
			source, "none create pods audit user/actor=bob" + from + " namespace/target=shop pod/target=shop/web-1", nil},
		// EKS: the AWS identity behind the user; a token of a pod; impersonation.
		{strings.Replace(kubeEvent("kubernetes-admin", "get", pod+`,"subresource":"log"`, ""), `"groups"`,
			`"extra":{"accessKeyId":["ASIAX"],"arn":["arn:aws:sts::123456789012:assumed-role/Ops/s1"],"canonicalArn":["arn:aws:iam::123456789012:role/Ops"]},"groups"`, 1),
			source, "api_call get pods/log audit user/actor=arn:aws:sts::123456789012:assumed-role/Ops/s1 session/actor=arn:aws:sts::123456789012:assumed-role/Ops/s1" +
				" role/actor=arn:aws:iam::123456789012:role/Ops access_key/actor=ASIAX" + from + " namespace/target=shop pod/target=shop/web-1", nil},
		{strings.Replace(kubeEvent("system:serviceaccount:shop:web", "get", `"resource":"secrets","namespace":"shop","name":"db"`, `,"impersonatedUser":{"username":"Admin"}`), `"groups"`,
			`"extra":{"authentication.kubernetes.io/pod-name":["web-1"],"authentication.kubernetes.io/node-name":["N1"]},"groups"`, 1),
			source, "object_read get secrets audit user/actor=system:serviceaccount:shop:web pod/actor=shop/web-1 host/src=n1 user/target=admin" + from +
				" namespace/target=shop resource/target=secrets/shop/db", nil},
		{`{"kind":"Event","verb":"get","user":{"username":"bob"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2024-03-03T10:00:00Z"}`, source, "api_call get audit user/actor=bob", nil},
		// v1beta1
		{`{"metadata":{"creationTimestamp":"2024-03-03T10:00:00Z"},"level":"Metadata","timestamp":"2024-03-03T10:00:00Z","auditID":"x","stage":"ResponseComplete","requestURI":"/api/v1/namespaces","verb":"create",` +
			`"user":{"username":"bob"},"sourceIPs":["203.0.113.5"],"objectRef":{"resource":"namespaces","name":"foo"},"responseStatus":{"code":201}}`,
			source, "config_change create namespaces audit user/actor=bob" + from + " namespace/target=foo", nil},
	})
}

// TestKubernetesWrapped: the same event as clouds and collectors hand it on.
func TestKubernetesWrapped(t *testing.T) {
	event := kubeEvent("Alice", "create", `"resource":"pods","namespace":"shop","name":"web-1","subresource":"exec"`, "")
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	const want = "remote_exec create pods/exec audit user/actor=alice ip/src=203.0.113.5 namespace/target=shop pod/subject=shop/web-1"
	checkGolden(t, "kubernetes-audit", "", []golden{
		{`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + event + `]}`, "kubernetes/application/audit", want, nil},
		{`{"time":"2024-03-03T10:00:09Z","resourceId":"/S/X","operationName":"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read","category":"kube-audit-admin","properties":{"log":` + string(text) + `,"stream":"stdout"}}`,
			"kubernetes/application/audit", want, nil},
		{`{"TimeGenerated":"2024-03-03T10:00:09Z","OperationName":"x","Category":"kube-audit","log_s":` + string(text) + `}`, "kubernetes/application/audit", want, nil},
		{`{"TimeGenerated":"2024-03-03T10:00:09Z","Type":"AKSAudit","AuditId":"7a","Verb":"create","Stage":"ResponseComplete","RequestUri":"/x","User":"{\"username\":\"Alice\"}","SourceIps":"[\"203.0.113.5\"]",` +
			`"ObjectRef":{"resource":"pods","namespace":"shop","name":"web-1","subresource":"exec"},"ResponseStatus":"{\"code\":200}","RequestReceivedTime":"2024-03-03T10:00:00.1Z"}`, "kubernetes/application/audit", want, nil},
		{`{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/c/cluster","logStream":"kube-apiserver-audit-0","subscriptionFilters":["f"],"logEvents":[{"id":"3","timestamp":1709460000999,"message":` + string(text) + `}]}`,
			"kubernetes/application/audit", want, nil},
		{`{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"Alice"},"methodName":"io.k8s.core.v1.pods.exec.create","requestMetadata":{"callerIp":"203.0.113.5"},` +
			`"resourceName":"core/v1/namespaces/shop/pods/web-1/exec","serviceName":"k8s.io","status":{}},"timestamp":"2024-03-03T10:00:00.5Z","receiveTimestamp":"2024-03-03T10:00:02Z","logName":"x","labels":{"authorization.k8s.io/decision":"allow"}}`,
			"kubernetes/application/audit", want, []string{"verb=create", "objectRef.resource=pods", "objectRef.subresource=exec", "user.username=Alice", "annotations.authorization.k8s.io/decision=allow"}},
		{`{"protoPayload":{"authenticationInfo":{"principalEmail":"eve@x.example"},"methodName":"io.k8s.authorization.rbac.v1.rolebindings.create","requestMetadata":{"callerIp":"203.0.113.5"},` +
			`"request":{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"ci"}]},"resourceName":"rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/b","serviceName":"k8s.io"},"timestamp":"2024-03-03T10:00:00Z"}`,
			"kubernetes/application/audit", "account_change create rolebindings audit user/actor=eve@x.example ip/src=203.0.113.5 namespace/target=shop resource/target=rolebindings/shop/b role/target=shop/r user/target=system:serviceaccount:shop:ci",
			[]string{"objectRef.apiGroup=rbac.authorization.k8s.io", "requestObject.roleRef.name=r"}},
	})
}

func TestKubernetesData(t *testing.T) {
	d := JSON(Options{Names: model.NewNames()})
	for _, pattern := range []string{"falco_k8s_audit/*.json", "crowdsec/k8s-audit*/*.log", "ocsf_examples/markdown/AWS/*/EKS_Audit_Logs/samples/eks.raw"} {
		for name, data := range dataFiles(t, pattern) {
			b, bad := decodeAll(t, d, name, data)
			if int64(len(b.Events)) != b.Records || b.Records == 0 || len(bad) != 0 {
				t.Errorf("%s: %d events of %d records: %v", name, len(b.Events), b.Records, bad)
			}
			for i := range b.Events {
				e := &b.Events[i]
				if e.Source.Product != "kubernetes" || len(e.Entities) < 2 || e.Code == "" {
					t.Errorf("%s: event %d: %+v of %v", name, i, e.Entities, e.Source)
				}
			}
		}
	}
}
