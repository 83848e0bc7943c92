package knowledge

import "github.com/catena-sec/catena/internal/model"

// Components returns the data components of ATT&CK v19 that records of an act are:
// what a defender who has them can say he collects. Of an act in a cluster or on a
// host it is that of the thing acted upon; nil for acts that no component names.
func Components(act model.Act, s model.Subsystem) []string {
	if s == model.Kubernetes {
		if c := clusterComponents[act]; c != nil {
			return c
		}
	}
	if s == model.Database {
		switch act {
		case model.ActObjectList, model.ActObjectRead, model.ActObjectWrite, model.ActObjectDelete:
			return []string{"Application Log Content"} // ATT&CK has none of databases
		}
	}
	return components[act]
}

var components = map[model.Act][]string{
	model.ActProcessStart:   {"Process Creation", "Command Execution"},
	model.ActProcessEnd:     {"Process Termination"},
	model.ActProcessAccess:  {"Process Access"},
	model.ActInject:         {"Process Modification"},
	model.ActImageLoad:      {"Module Load"},
	model.ActFileWrite:      {"File Creation", "File Modification"},
	model.ActFileRead:       {"File Access"},
	model.ActFileDelete:     {"File Deletion"},
	model.ActRegistrySet:    {"Windows Registry Key Modification"},
	model.ActPipe:           {"Named Pipe Metadata"},
	model.ActConnect:        {"Network Connection Creation", "Network Traffic Flow"},
	model.ActDNS:            {"Network Traffic Content"},
	model.ActLogon:          {"Logon Session Creation", "User Account Authentication"},
	model.ActLogonFailed:    {"User Account Authentication"},
	model.ActLogoff:         {"Logon Session Metadata"},
	model.ActExplicitCreds:  {"User Account Authentication"},
	model.ActTicket:         {"Active Directory Credential Request"},
	model.ActServiceInstall: {"Service Creation"},
	model.ActTaskCreate:     {"Scheduled Job Creation"},
	model.ActRemoteExec:     {"Command Execution"},
	model.ActAccountChange:  {"User Account Modification"},
	model.ActShareAccess:    {"Network Share Access"},
	model.ActScript:         {"Script Execution"},
	model.ActLogCleared:     {"Host Status"},
	model.ActConfigChange:   {"Application Log Content"},
	model.ActAPICall:        {"Cloud Service Modification"},
	model.ActAssumeRole:     {"Web Credential Usage"},
	model.ActKeyIssued:      {"Web Credential Creation"},
	model.ActObjectList:     {"Cloud Storage Enumeration"},
	model.ActObjectRead:     {"Cloud Storage Access"},
	model.ActObjectWrite:    {"Cloud Storage Modification"},
	model.ActObjectDelete:   {"Cloud Storage Deletion"},
	model.ActMailAccess:     {"Application Log Content"},
	model.ActIdentify:       {"Instance Metadata"},
}

var clusterComponents = map[model.Act][]string{
	model.ActObjectList:   {"Pod Enumeration", "Container Enumeration"},
	model.ActObjectRead:   {"Cluster Metadata"},
	model.ActObjectWrite:  {"Pod Creation", "Pod Modification"},
	model.ActConfigChange: {"Pod Modification"},
	model.ActAPICall:      {"Pod Modification"},
	model.ActObjectDelete: {"Pod Modification"},
	model.ActRemoteExec:   {"Command Execution"},
}
