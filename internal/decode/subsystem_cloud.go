package decode

import (
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// awsSubsystem is what kind of thing a call to an AWS service is about. EC2 is
// machines and the networks between them, Systems Manager machines and a store of
// secrets: there the name of the call decides.
func awsSubsystem(service, name string) model.Subsystem {
	lower := strings.ToLower(name)
	switch service {
	case "ec2":
		switch {
		case hasWord(lower, "flowlogs"):
			return model.Management
		case hasWord(lower, awsNetworkWords...):
			return model.Network
		}
		return model.Compute
	case "ssm":
		if strings.Contains(lower, "parameter") {
			return model.Secrets
		}
		return model.Compute
	case "s3", "s3express", "s3tables", "glacier", "elasticfilesystem", "fsx", "backup", "s3-outposts", "transfer", "datasync", "storagegateway":
		return model.Storage
	case "iam", "sts", "signin", "sso", "sso-oidc", "oidc", "cognito-idp", "cognito-identity", "identitystore", "rolesanywhere", "sso-directory", "ds":
		return model.Identity
	case "secretsmanager", "kms", "acm", "acm-pca", "cloudhsm":
		return model.Secrets
	case "rds", "dynamodb", "redshift", "redshift-serverless", "redshift-data", "elasticache", "memorydb", "docdb", "docdb-elastic", "neptune", "athena", "rds-data", "dsql":
		return model.Database
	case "eks", "eks-auth", "ecs":
		return model.Kubernetes
	case "cloudtrail", "config", "guardduty", "securityhub", "logs", "monitoring", "events", "scheduler", "cloudformation", "access-analyzer", "inspector2", "detective",
		"macie", "macie2", "organizations", "account", "billingconsole", "controltower", "servicequotas":
		return model.Management
	case "elasticloadbalancing", "route53", "route53domains", "route53resolver", "cloudfront", "waf", "wafv2", "waf-regional", "shield", "network-firewall",
		"directconnect", "globalaccelerator":
		if strings.Contains(lower, "querylogconfig") {
			return model.Management
		}
		return model.Network
	case "ses", "email":
		return model.Email
	case "lambda", "apigateway", "bedrock", "sagemaker", "appsync", "codebuild", "codestar", "codepipeline", "codecommit", "cloud9", "glue", "sns", "sqs",
		"elasticbeanstalk", "amplify":
		return model.Application
	}
	return model.Compute
}

// awsNetworkWords stand in the names of EC2's calls about networks.
var awsNetworkWords = []string{"vpc", "subnet", "securitygroup", "networkinterface", "networkacl", "routetable", "createroute", "deleteroute", "replaceroute", "gateway", "address",
	"trafficmirror", "vpnconnection", "dhcpoptions", "clientvpn", "transit"}

// awsServiceOf returns the service that has a call whose name has such a part, for
// calls that no other service has; empty for the rest.
func awsServiceOf(name string) string {
	lower := strings.ToLower(name)
	for _, x := range [...]struct{ word, service string }{
		{"consolelogin", "signin"}, {"getsignintoken", "signin"}, {"switchrole", "signin"}, {"passwordupdated", "signin"}, {"passwordrecovery", "signin"}, {"emailupdated", "signin"},
		{"mobilephoneupdated", "signin"}, {"assumerole", "sts"}, {"assumeroot", "sts"}, {"getsessiontoken", "sts"}, {"getfederationtoken", "sts"}, {"getcalleridentity", "sts"},
		{"accesskey", "iam"}, {"loginprofile", "iam"}, {"mfadevice", "iam"}, {"userpolicy", "iam"}, {"userpolicies", "iam"}, {"rolepolicy", "iam"}, {"rolepolicies", "iam"},
		{"grouppolicy", "iam"}, {"grouppolicies", "iam"}, {"samlprovider", "iam"}, {"openidconnectprovider", "iam"}, {"createpolicyversion", "iam"}, {"setdefaultpolicyversion", "iam"},
		{"addusertogroup", "iam"}, {"accountauthorizationdetails", "iam"}, {"accountpasswordpolicy", "iam"}, {"bucket", "s3"}, {"publicaccessblock", "s3"}, {"objectacl", "s3"},
		{"backupvault", "backup"}, {"dbinstance", "rds"}, {"dbcluster", "rds"}, {"dbsnapshot", "rds"}, {"secretvalue", "secretsmanager"}, {"securityhub", "securityhub"},
		{"macie", "macie2"}, {"flowlogs", "ec2"}, {"securitygroup", "ec2"}, {"vpc", "ec2"}, {"ebs", "ec2"}, {"serialconsole", "ec2"}, {"modifyimageattribute", "ec2"},
		{"modifysnapshotattribute", "ec2"}, {"instanceattribute", "ec2"}, {"runinstances", "ec2"}, {"passworddata", "ec2"}, {"resolverquerylogconfig", "route53resolver"},
		{"findingsforproduct", "securityhub"}, {"modifyloadbalancerattributes", "elasticloadbalancing"},
		{"deletealarms", "monitoring"}, {"disablealarmactions", "monitoring"}, {"stoplogging", "cloudtrail"}, {"puteventselectors", "cloudtrail"},
		{"listsecret", "secretsmanager"}, {"parametersforimport", "kms"}, {"getparameter", "ssm"}, {"describeparameters", "ssm"}, {"sendcommand", "ssm"},
	} {
		if strings.Contains(lower, x.word) {
			return x.service
		}
	}
	return ""
}

func awsSubsystemOf(clue func(string) Clue) model.Subsystem {
	services, names := clue("eventSource"), clue("eventName")
	if len(services.Texts) == 0 {
		return agreed(names.Texts, func(name string) model.Subsystem {
			service := awsServiceOf(name)
			if service == "" {
				return ""
			}
			return awsSubsystem(service, name)
		})
	}
	return agreed(services.Texts, func(service string) model.Subsystem {
		service = strings.TrimSuffix(service, ".amazonaws.com")
		sub := awsSubsystem(service, "")
		if !services.Whole || service != "ec2" && service != "ssm" && sub != model.Network {
			return sub
		}
		if len(names.Texts) == 0 || !names.Whole {
			return ""
		}
		own := slices.DeleteFunc(slices.Clone(names.Texts), func(name string) bool { // a call of another of the services
			of := awsServiceOf(name)
			return of != "" && of != service
		})
		if len(own) == 0 {
			own = names.Texts
		}
		return agreed(own, func(name string) model.Subsystem { return awsSubsystem(service, name) })
	})
}

// azureSubsystem is what kind of thing a resource provider's operation concerns.
func azureSubsystem(operation string) model.Subsystem {
	op := strings.ToLower(operation)
	for _, p := range [...]struct {
		prefix string
		s      model.Subsystem
	}{
		{"microsoft.compute/", model.Compute}, {"microsoft.hybridcompute/", model.Compute}, {"microsoft.serialconsole/", model.Compute},
		{"microsoft.guestconfiguration/", model.Compute}, {"microsoft.batch/", model.Compute}, {"microsoft.netapp/", model.Storage},
		{"microsoft.storagemover/", model.Storage}, {"microsoft.storagesync/", model.Storage}, {"microsoft.network/networkwatchers/flowlogs", model.Management},
		{"microsoft.app/", model.Application}, {"microsoft.machinelearningservices/", model.Application}, {"microsoft.datafactory/", model.Application},
		{"microsoft.storage/", model.Storage}, {"microsoft.network/", model.Network},
		{"microsoft.keyvault/", model.Secrets}, {"microsoft.containerservice/", model.Kubernetes}, {"microsoft.kubernetes", model.Kubernetes},
		{"microsoft.containerinstance/", model.Kubernetes}, {"microsoft.sql/", model.Database},
		{"microsoft.dbfor", model.Database}, {"microsoft.documentdb/", model.Database}, {"microsoft.cache/", model.Database}, {"microsoft.synapse/", model.Database},
		{"microsoft.authorization/lock", model.Management}, {"microsoft.authorization/polic", model.Management},
		{"microsoft.authorization/", model.Identity}, {"microsoft.managedidentity/", model.Identity},
		{"microsoft.aad", model.Identity}, {"microsoft.web/", model.Application}, {"microsoft.containerregistry/", model.Application},
		{"microsoft.eventhub/", model.Application}, {"microsoft.servicebus/", model.Application}, {"microsoft.logic/", model.Application},
		{"microsoft.cognitiveservices/", model.Application}, {"microsoft.recoveryservices/", model.Storage}, {"microsoft.dataprotection/", model.Storage},
		{"microsoft.communication/", model.Email},
	} {
		if strings.HasPrefix(op, p.prefix) {
			return p.s
		}
	}
	return model.Management
}

func azureSubsystemOf(service string, clue func(string) Clue) model.Subsystem {
	switch service {
	case "activitylogs":
		operations := firstClue(clue, "operationName", "operationName.value", "OperationNameValue", "properties.message")
		return agreed(operations.Texts, func(op string) model.Subsystem {
			if !strings.HasPrefix(strings.ToLower(op), "microsoft.") || !operations.Whole && !strings.Contains(op, "/") {
				return ""
			}
			return azureSubsystem(op)
		})
	case "signinlogs", "auditlogs", "provisioninglogs", "riskdetection", "pim":
		return model.Identity
	case "keyvault":
		return model.Secrets
	case "storage":
		return model.Storage
	case "sqlauditing":
		return model.Database
	}
	return ""
}

// officeSubsystem is what kind of thing an entry of Microsoft 365's audit log is
// about: its workload says so, or else its operation; empty where neither does.
func officeSubsystem(workload, operation string) model.Subsystem {
	switch strings.ToLower(workload) {
	case "exchange":
		return model.Email
	case "azureactivedirectory":
		return model.Identity
	case "sharepoint", "onedrive":
		return model.Storage
	}
	op := strings.ToLower(operation)
	switch {
	case hasWord(op, "compliancesearch", "dlp", "retentioncompliance", "informationbarrier", "casehold", "holdremoved", "labelpolicy", "remove-label", "teams", "cstenant", "csexternal",
		"createflow", "editflow", "deleteflow", "putconnection", "createconnection", "putpermissions", "appinstalled", "apppublished", "appupgraded", "botadded", "connectoradded"):
		return model.Application
	case hasWord(op, "mailbox", "inboxrule", "transport", "mailitems", "-inboundconnector", "-outboundconnector", "journalrule", "-remotedomain", "safelinks", "safeattachment",
		"antiphish", "malwarefilter", "contentfilter", "connectionfilter", "spamfilter", "atppolicy", "dkim", "allowblocklist", "sendas", "sendonbehalf", "folderpermissions",
		"calendardelegation", "recipientpermission", "managementrole", "rolegroup", "adminauditlog", "organizationconfig", "-authenticationpolicy", "-applicationaccesspolicy", "-adpermission",
		"messagebind", "folderbind"),
		op == "harddelete", op == "softdelete", op == "movetodeleteditems", op == "send", op == "create" && workload == "":
		return model.Email
	case strings.HasPrefix(op, "file"), strings.HasPrefix(op, "anonymouslink"), strings.HasPrefix(op, "site"), strings.HasPrefix(op, "sharing"), strings.HasPrefix(op, "securelink"),
		strings.HasPrefix(op, "addedtos"), strings.HasPrefix(op, "companylink"), strings.HasPrefix(op, "folder"),
		hasWord(op, "accesspolicychanged", "settenant", "spotenant", "customizeexempt", "exemptuseragent", "alloweddatalocation"), op == "addedtogroup":
		return model.Storage
	case strings.Contains(op, " ") && hasWord(op, "user", "member", "role", "device", "policy", "application", "service principal", "domain", "dirsync", "grant", "delegation",
		"strong authentication", "security defaults", "company information", "secrets management"), strings.HasPrefix(op, "userlog"):
		return model.Identity
	}
	return ""
}

func officeSubsystemOf(service string, clue func(string) Clue) model.Subsystem {
	if service == "exchange" {
		return model.Email
	}
	workloads, operations := firstClue(clue, "Workload", "OfficeWorkload", "eventSource"), firstClue(clue, "Operation", "eventName", "ActionType")
	if workloads.Whole {
		if s := agreed(workloads.Texts, func(w string) model.Subsystem { return officeSubsystem(w, "") }); s != "" {
			return s
		}
	}
	return agreed(operations.Texts, func(op string) model.Subsystem { return officeSubsystem("", op) })
}

// gcpSubsystem is what kind of thing a method of a Google API is about, by the
// service, and where one service is about several by the method.
func gcpSubsystem(service, method string) model.Subsystem {
	name := strings.TrimSuffix(service, ".googleapis.com")
	switch {
	case name == "k8s.io", name == "container", strings.HasPrefix(method, "io.k8s."):
		return model.Kubernetes
	}
	switch name {
	case "compute":
		if hasWord(strings.ToLower(method), gcpNetworkWords...) {
			return model.Network
		}
		return model.Compute
	case "appengine":
		if hasWord(strings.ToLower(method), "firewall.") {
			return model.Network
		}
		return model.Application
	case "cloudresourcemanager":
		if hasWord(strings.ToLower(method), "iampolicy") {
			return model.Identity
		}
		return model.Management
	case "storage", "file", "backupdr", "storagetransfer":
		return model.Storage
	case "iam", "iamcredentials", "sts", "cloudidentity", "login", "admin", "apikeys", "iap":
		return model.Identity
	case "secretmanager", "cloudkms", "privateca":
		return model.Secrets
	case "bigquery", "bigquerydatatransfer", "cloudsql", "sqladmin", "spanner", "firestore", "bigtable", "bigtableadmin", "datastore", "alloydb", "redis":
		return model.Database
	case "dns", "networksecurity", "vpcaccess", "servicenetworking":
		return model.Network
	case "run", "cloudfunctions", "aiplatform", "pubsub", "cloudbuild", "artifactregistry":
		return model.Application
	case "logging", "monitoring", "securitycenter", "deploymentmanager", "serviceusage", "servicemanagement", "orgpolicy", "cloudasset", "accesscontextmanager":
		return model.Management
	}
	return model.Compute
}

// gcpNetworkWords stand in the names of Compute Engine's methods about networks.
var gcpNetworkWords = []string{"firewall", "networks.", "routers.", "routes.", "vpntunnels.", "vpngateways.", "forwardingrules.", "packetmirrorings.", "securitypolicies.",
	"addresses.", "backendservices.", "urlmaps.", "interconnects."}

// gcpServiceOf returns the service whose methods have such a part of a name, for
// parts that no other service's have; empty for the rest.
func gcpServiceOf(method string) string {
	lower := strings.ToLower(method)
	for _, x := range [...]struct{ word, service string }{
		{"io.k8s.", "k8s.io"}, {"pods.exec", "k8s.io"}, {"pods.attach", "k8s.io"}, {"clustermanager.", "container"}, {"secretversion", "secretmanager"}, {".deletesecret", "secretmanager"},
		{"cryptokey", "cloudkms"}, {"keyring", "cloudkms"}, {"workloadidentitypool", "iam"}, {"workforcepool", "iam"}, {"serviceaccount", "iam"}, {"iam.roles.", "iam"},
		{".createrole", "iam"}, {".updaterole", "iam"}, {".undeleterole", "iam"}, {"generateaccesstoken", "iamcredentials"}, {"generateidtoken", "iamcredentials"},
		{"signblob", "iamcredentials"}, {"signjwt", "iamcredentials"}, {"storage.buckets.", "storage"}, {"storage.objects.", "storage"}, {"storage.managedfolders.", "storage"}, {"bulkdelete", "storage"},
		{"hmackeys.", "storage"}, {"accesscontrols.", "storage"}, {"transferjob", "storagetransfer"}, {"tableservice.", "bigquery"}, {"datasetservice.", "bigquery"}, {"cloudsql.", "cloudsql"},
		{"dns.", "dns"}, {"managedzones.", "dns"}, {"resourcerecordsets.", "dns"}, {"configservicev2.", "logging"}, {"loggingservicev2.", "logging"}, {"metricsservicev2.", "logging"},
		{"updatesink", "logging"}, {"deletesink", "logging"}, {"exclusion", "logging"}, {"cmeksettings", "logging"}, {"alertpolicy", "monitoring"}, {"notificationchannel", "monitoring"},
		{"uptimecheck", "monitoring"}, {"setmute", "securitycenter"}, {"securitycentersettings", "securitycenter"}, {"dropdatabase", "spanner"}, {"exportdocuments", "firestore"},
		{"ingressrule", "appengine"}, {"routes.", "compute"}, {"docker-putmanifest", "artifactregistry"}, {"modelgardenservice.", "aiplatform"}, {"importsshpublickey", "oslogin"},
		{"instances.insert", "compute"}, {"notificationconfig", "securitycenter"}, {"muteconfig", "securitycenter"}, {"mutefindings", "securitycenter"}, {"orgpolicy", "orgpolicy"}, {"serviceperimeter", "accesscontextmanager"},
		{"accesslevel", "accesscontextmanager"}, {"serviceusage.", "serviceusage"}, {"servicemanager.", "servicemanagement"}, {"tagbinding", "cloudresourcemanager"},
		{"tagkey", "cloudresourcemanager"}, {"tagvalue", "cloudresourcemanager"}, {".createproject", "cloudresourcemanager"}, {".deleteproject", "cloudresourcemanager"},
		{".updateproject", "cloudresourcemanager"}, {".moveproject", "cloudresourcemanager"}, {".undeleteproject", "cloudresourcemanager"}, {".deletefolder", "cloudresourcemanager"},
		{".movefolder", "cloudresourcemanager"}, {"artifactregistry.", "artifactregistry"}, {"predictionservice.", "aiplatform"}, {"modelservice.", "aiplatform"},
		{"compute.", "compute"}, {"firewalls.", "compute"}, {"firewallpolicies.", "compute"}, {"securitypolicies.", "compute"}, {"networks.", "compute"}, {"routers.", "compute"},
		{"vpntunnels.", "compute"}, {"packetmirrorings.", "compute"}, {"disks.", "compute"}, {"snapshots.", "compute"}, {"images.", "compute"}, {"instancetemplates.", "compute"},
		{"instancegroupmanagers.", "compute"}, {"setcommoninstancemetadata", "compute"}, {"instances.setmetadata", "compute"}, {"instances.setserviceaccount", "compute"},
		{"instances.getserialport", "compute"}, {"instances.getscreenshot", "compute"}, {"ssh-serialport", "compute"}, {"machineimages.", "compute"},
	} {
		if strings.Contains(lower, x.word) {
			return x.service
		}
	}
	return ""
}

func gcpSubsystemOf(clue func(string) Clue) model.Subsystem {
	services := firstClue(clue, "gcp.audit.service_name", "protoPayload.serviceName")
	methods := firstClue(clue, "gcp.audit.method_name", "protoPayload.methodName")
	if len(services.Texts) == 0 {
		if len(methods.Texts) == 0 && len(firstClue(clue, "protoPayload.metadata.jobChange.job.jobConfig.type", "protoPayload.metadata.jobChange.job.jobConfig.queryConfig.statementType",
			"protoPayload.metadata.tableDeletion.reason", "protoPayload.metadata.datasetDeletion.reason").Texts) > 0 {
			return model.Database // BigQuery's alone
		}
		return agreed(methods.Texts, func(method string) model.Subsystem {
			service := gcpServiceOf(method)
			if service == "" {
				return ""
			}
			return gcpSubsystem(service, method)
		})
	}
	return agreed(services.Texts, func(service string) model.Subsystem {
		service, _, _ = strings.Cut(service, ".") // "k8s.io" is no more than its first part
		if service == "k8s" {
			service = "k8s.io"
		}
		if service != "compute" && service != "cloudresourcemanager" && service != "appengine" {
			return gcpSubsystem(service, "")
		}
		return agreed(methods.Texts, func(method string) model.Subsystem { return gcpSubsystem(service, method) })
	})
}

func workspaceSubsystemOf(app string, clue func(string) Clue) model.Subsystem {
	names := firstClue(clue, "eventName", "protoPayload.metadata.event.eventName")
	of := func(name string) model.Subsystem {
		s, _ := workspaceAct(app, strings.ToLower(name))
		return s
	}
	if len(names.Texts) > 0 && names.Whole {
		return agreed(names.Texts, of)
	}
	switch app {
	case "admin", "user_accounts":
		return ""
	}
	return of("")
}

func githubSubsystemOf(clue func(string) Clue) model.Subsystem {
	actions := clue("action")
	if !actions.Whole {
		return ""
	}
	return agreed(actions.Texts, func(action string) model.Subsystem {
		_, s := githubAct(action)
		return s
	})
}
