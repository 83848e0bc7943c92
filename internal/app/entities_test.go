package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

const (
	theirInstance = "i-0a1b2c3d4e5f60718"
	theirDevice   = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
	theirVM       = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm1"
)

// beats are the events of dumping as Winlogbeat ships them, which says besides the
// machine's name by which ids others know it.
func beats(t *testing.T, ids map[string]any) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(dumping()) {
		var flat map[string]any
		if err := json.Unmarshal([]byte(line), &flat); err != nil {
			t.Fatal(err)
		}
		data := map[string]any{}
		for _, k := range []string{"UtcTime", "Image", "CommandLine", "User", "ProcessGuid", "ProcessId", "ParentImage", "ParentProcessGuid", "ParentProcessId"} {
			data[k] = flat[k]
		}
		record := map[string]any{
			"@timestamp": flat["EventTime"].(string)[:10] + "T" + flat["EventTime"].(string)[11:] + "Z",
			"winlog":     map[string]any{"channel": flat["Channel"], "event_id": "1", "provider_name": "Microsoft-Windows-Sysmon", "computer_name": flat["Hostname"], "event_data": data},
		}
		for k, v := range ids {
			record[k] = v
		}
		b, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, '\n'))
	}
	return out.String()
}

// A product and the telemetry of another call one machine by different names: their
// alerts are one incident, and those of a machine that merely looks alike are not.
func TestOneMachineByManyNames(t *testing.T) {
	guardDuty := func(instance, remote string) string {
		return `{"schemaVersion":"2.0","accountId":"111122223333","region":"eu-west-1","id":"` + instance + `","type":"Backdoor:EC2/C&CActivity.B","severity":8,"title":"The instance speaks with a command and control server",
			"resource":{"resourceType":"Instance","instanceDetails":{"instanceId":"` + instance + `"}},"service":{"serviceName":"guardduty","detectorId":"d1","eventFirstSeen":"2024-03-01T11:00:35Z","eventLastSeen":"2024-03-01T11:00:35Z","archived":false,
			"action":{"networkConnectionAction":{"connectionDirection":"OUTBOUND","remoteIpDetails":{"ipAddressV4":"` + remote + `"}}}}}`
	}
	xdr := func(name, device string) string {
		return `{"alertId":"` + name + device + `","incidentId":7,"serviceSource":"MicrosoftDefenderForEndpoint","title":"A process reads credentials from memory","category":"CredentialAccess","severity":"high","mitreTechniques":["T1003.001"],
			"firstActivity":"2024-03-01T11:00:35Z","creationTime":"2024-03-01T11:01:00Z","devices":[{"deviceDnsName":"` + name + `","mdatpDeviceId":"` + device + `"}]}`
	}
	forCloud := func(vm string) string {
		return `{"SystemAlertId":"` + vm + `","AlertName":"Memory of a process dumped","AlertType":"VM_Dump","Severity":"High","StartTimeUtc":"2024-03-01T11:00:35Z","VendorName":"Microsoft","ProviderName":"Microsoft Defender for Cloud","Techniques":"T1003.001",
			"Entities":"[{\"$id\":\"1\",\"AzureID\":\"` + vm + `\",\"Type\":\"host\"}]"}`
	}
	hunted := `{"Timestamp":"2024-03-01T10:30:00Z","ActionType":"ConnectionSuccess","DeviceName":"pc1.corp.example","DeviceId":"` + theirDevice + `","RemoteIP":"203.0.113.5","RemotePort":443,"InitiatingProcessId":9,"InitiatingProcessFileName":"a.exe"}`
	cloud := map[string]any{"host": map[string]any{"name": "pc1"}, "cloud": map[string]any{"instance": map[string]any{"id": theirInstance}}}
	for _, c := range []struct {
		name         string
		ids          map[string]any
		beside       string // what states both names, where the telemetry does not
		alert, other string // of the machine, and of another
		product      string
	}{
		{"an instance and what runs in it", cloud, "", guardDuty(theirInstance, "203.0.113.77"), guardDuty("i-0fffffffffffffff1", "203.0.113.78"), "Amazon GuardDuty"},
		{"a device and its event log", nil, hunted, xdr("", theirDevice), xdr("", strings.Repeat("12", 20)), "MicrosoftDefenderForEndpoint"},
		{"a short name and a qualified one", nil, "", xdr("pc1", ""), xdr("pc12", ""), "MicrosoftDefenderForEndpoint"},
		{"a virtual machine and its event log", map[string]any{"_ResourceId": strings.ToLower(theirVM)}, "", forCloud(theirVM), forCloud(theirVM + "2"), "Microsoft Defender for Cloud"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder(t, file{"events.json", beats(t, c.ids)}, file{"beside.json", c.beside}, file{"alerts.json", c.alert + "\n" + c.other + "\n"})
			r := analyze(t, Options{AllAlerts: true}, ".")
			var own, strange []model.Alert
			for _, a := range r.Alerts {
				if a.Product != c.product {
					continue
				}
				if joined := a.Incident != nil && slices.ContainsFunc(r.Alerts, func(o model.Alert) bool {
					return o.Rule.Source == "builtin" && o.Host == "pc1.corp.example" && o.Incident != nil && *o.Incident == *a.Incident
				}); joined {
					own = append(own, a)
				} else {
					strange = append(strange, a)
				}
			}
			if len(own) != 1 || len(strange) != 1 {
				t.Errorf("%d alerts of %s are in the machine's incident and %d are not, want one each", len(own), c.product, len(strange))
			}
		})
	}
}
