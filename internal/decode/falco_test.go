package decode

import "testing"

func TestFalco(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"hostname":"Node1","output":"10:00:00.1: Notice A shell ...","priority":"Notice","rule":"Terminal shell in container","source":"syscall","tags":["T1059","container","mitre_execution","shell"],"time":"2024-05-01T10:05:00.123456789Z",` +
			`"output_fields":{"container.id":"3ad7b26ded6d","evt.time":1714557900123456789,"k8s.ns.name":"shop","k8s.pod.name":"web-1","proc.cmdline":"sh","proc.exepath":"/bin/sh","proc.pid":4242,"user.name":"root"}}`,
			`falco 05-01T10:05:00 low compute falco:Terminal shell in container execution T1059 host/subject=node1 container/subject=3ad7b26ded6d pod/subject=shop/web-1 user/actor=node1\root process/subject=node1:4242 file/object=node1:/bin/sh`},
		{`{"hostname":"n","output":"x","priority":"Warning","rule":"Create Privileged Pod","source":"k8s_audit","tags":["k8s"],"time":"2024-05-01T10:05:00Z",` +
			`"output_fields":{"ka.user.name":"eve@example.com","ka.target.name":"p","ka.target.namespace":"shop","ka.target.resource":"pods","jevt.time":"10:05:00"}}`,
			`falco 05-01T10:05:00 medium kubernetes falco:Create Privileged Pod   host/sensor=n user/actor=eve@example.com pod/target=shop/p`},
		{`{"uuid":"1","output":"x","priority":"Critical","rule":"Outbound connection","source":"syscall","tags":[],"time":"2024-05-01T10:05:00Z","output_fields":{"fd.cip":"10.0.0.5","fd.sip":"203.0.113.9","k8s.ns.name":null,"k8s.pod.name":null}}`,
			`falco 05-01T10:05:00 critical compute falco:Outbound connection   ip/src=10.0.0.5 ip/dst=203.0.113.9`},
	} {
		b := alertsOf(t, c.text)
		if len(b.Alerts) != 1 || len(b.Events) != 0 {
			t.Errorf("%d alerts, %d events", len(b.Alerts), len(b.Events))
			continue
		}
		if got := said(&b.Alerts[0]); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}
