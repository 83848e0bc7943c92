package decode

import (
	"bytes"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestSubsystemOf(t *testing.T) {
	for _, c := range []struct {
		source string // product category service, "-" for none
		fields string // field=text|text;field~part
		want   model.Subsystem
	}{
		{"windows process_creation -", "", model.Compute},
		{"windows network_connection -", "", model.Network},
		{"windows - security", "EventID=4624", model.Identity},
		{"windows - security", "EventID=5145", model.Storage},
		{"windows - security", "EventID=4624|4625", model.Identity},
		{"windows - security", "EventID=4624|4688", ""},
		{"windows - security", "EventID~46", ""},
		{"windows - security", "EventID=x", ""},
		{"windows - security", "", ""},
		{"windows - sysmon", "EventID=3", model.Network},
		{"windows - system", "EventID=7045", model.Compute},
		{"windows - system", "EventID=104", model.Management},
		{"windows - application", "EventID=33205", model.Database},
		{"windows - application", "Provider_Name=MSSQLSERVER;EventID=18456", model.Database},
		{"windows - application", "Provider_Name=MsiInstaller;EventID=1033", model.Compute},
		{"windows - application", "EventID=18456", ""},
		{"windows - msexchange-management", "", model.Email},
		{"windows - ntlm", "", model.Identity},
		{"windows - nonesuch", "", ""},
		{"aws - cloudtrail", "eventSource=s3.amazonaws.com", model.Storage},
		{"aws - cloudtrail", "eventSource=s3.amazonaws.com|sts.amazonaws.com", ""},
		{"aws - cloudtrail", "eventSource=ec2.amazonaws.com", ""},
		{"aws - cloudtrail", "eventSource=ec2.amazonaws.com;eventName=RunInstances", model.Compute},
		{"aws - cloudtrail", "eventSource=ec2.amazonaws.com;eventName=CreateVpcPeeringConnection|CreateRoute", model.Network},
		{"aws - cloudtrail", "eventSource=ec2.amazonaws.com;eventName~Create", ""},
		{"aws - cloudtrail", "eventSource=ssm.amazonaws.com;eventName=GetParameter", model.Secrets},
		{"aws - cloudtrail", "eventName=PutBucketAcl", model.Storage},
		{"aws - cloudtrail", "eventName=CreateUser", ""}, // several services have it
		{"aws - cloudtrail", "", ""},
		{"azure - activitylogs", "operationName=MICROSOFT.KEYVAULT/VAULTS/WRITE", model.Secrets},
		{"azure - activitylogs", "OperationNameValue=Microsoft.Authorization/locks/delete", model.Management},
		{"azure - activitylogs", "operationName~Microsoft.Storage/storageAccounts/", model.Storage},
		{"azure - activitylogs", "operationName~/listKeys/action", ""},
		{"azure - signinlogs", "", model.Identity},
		{"azure - keyvault", "", model.Secrets},
		{"azure - storage", "", model.Storage},
		{"m365 - -", "Operation=New-InboxRule", model.Email},
		{"m365 - -", "ActionType=FileDownloaded|FileAccessed", model.Storage},
		{"m365 - -", "Operation~Consent to application", model.Identity},
		{"m365 - -", "Operation=New-InboxRule|FileDownloaded", ""},
		{"m365 - -", "Workload=SharePoint;Operation=PageViewed", model.Storage},
		{"m365 - exchange", "", model.Email},
		{"m365 - -", "", ""},
		{"gcp - gcp.audit", "gcp.audit.method_name~.AccessSecretVersion", model.Secrets},
		{"gcp - gcp.audit", "gcp.audit.method_name~compute.instances.insert|instanceTemplates.insert", model.Compute},
		{"gcp - gcp.audit", "gcp.audit.method_name~firewalls.insert", model.Network},
		{"gcp - gcp.audit", "protoPayload.serviceName=compute.googleapis.com", ""},
		{"gcp - gcp.audit", "protoPayload.serviceName=bigquery.googleapis.com", model.Database},
		{"gcp - gcp.audit", "gcp.audit.service_name=k8s.io", model.Kubernetes},
		{"gcp - gcp.audit", "gcp.audit.method_name~SetIamPolicy", ""}, // every service has it
		{"gcp - google_workspace.drive", "", model.Storage},
		{"gcp - google_workspace.admin", "eventName=ASSIGN_ROLE", model.Identity},
		{"gcp - google_workspace.admin", "", ""},
		{"gcp - google_workspace.user_accounts", "eventName=email_forwarding_out_of_domain", model.Email},
		{"github - audit", "action=user.failed_login", model.Identity},
		{"github - audit", "action~repo.", ""},
		{"zeek - dns", "", model.Network},
		{"- webserver -", "", model.Application},
		{"linux - auditd", "", model.Compute},
		{"- - sshd", "", ""},
	} {
		var source model.LogSource
		for i, name := range strings.Fields(c.source) {
			if name != "-" {
				*[]*string{&source.Product, &source.Category, &source.Service}[i] = name
			}
		}
		t.Run(c.source+" "+c.fields, func(t *testing.T) {
			got := SubsystemOf(source, func(field string) Clue {
				for _, f := range strings.Split(c.fields, ";") {
					if name, texts, ok := strings.Cut(f, "="); ok && name == field {
						return Clue{strings.Split(texts, "|"), true}
					}
					if name, texts, ok := strings.Cut(f, "~"); ok && name == field {
						return Clue{strings.Split(texts, "|"), false}
					}
				}
				return Clue{}
			})
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// What is said of a log source and fields is what decoders say of an event that has
// them, so that the matrix of rules and the alerts of them agree.
func TestSubsystemOfAgreesWithDecoders(t *testing.T) {
	names := model.NewNames()
	o := Options{Names: names, Year: 2024, Mappings: shippedMappings(t)}
	r := NewRegistry(EVTX(o), WindowsXML(o), WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	list, err := Samples()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for i, s := range list {
		d := r.Named(s.Decoder)
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(s.Data), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		for j := range b.Events {
			e := &b.Events[j]
			got := SubsystemOf(e.Source, func(field string) Clue {
				if text, ok := e.Get(names.ID(field)); ok {
					return Clue{[]string{text}, true}
				}
				return Clue{}
			})
			if got == "" || e.Subsystem == "" {
				continue
			}
			if told++; got != e.Subsystem {
				t.Errorf("sample %d, %s (%+v, %s): said to be of %s, the decoder says %s", i, e.Format, e.Source, e.Code, got, e.Subsystem)
			}
		}
	}
	if told < 100 {
		t.Errorf("of only %d events it is told what they are about", told)
	}
}
