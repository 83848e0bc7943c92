package decode

import "testing"

// What is asked of Microsoft Graph, and Entra's provisioning and sign-ins as rows of
// Log Analytics.
func TestEntraTables(t *testing.T) {
	checkGolden(t, "azure", "", []golden{
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AADProvisioningLogs","TenantId":"t","JobId":"j","OperationName":"Provisioning activity","ProvisioningAction":"create","SourceSystem":"{\"id\":\"1\",\"displayName\":\"HR\"}","TargetSystem":"{\"id\":\"2\",\"displayName\":\"Wiki\"}",` +
			`"SourceIdentity":"{\"id\":\"1\",\"displayName\":\"Bob@corp.example\",\"identityType\":\"User\"}","TargetIdentity":"{\"id\":\"2\",\"identityType\":\"User\"}","ServicePrincipal":"{\"id\":\"a-1\",\"displayName\":\"Wiki\"}","ProvisioningStatusInfo":"{\"status\":\"success\"}","ResultSignature":"Success"}`,
			"azure//provisioninglogs", "account_change create provisioninglogs app/actor=a-1 user/target=bob@corp.example", []string{"sourceIdentity.identityType=User"}},
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","RequestMethod":"PATCH","RequestUri":"https://graph.microsoft.com/v1.0/users/7?x=1","AppId":"A-1","UserId":"U-1","IPAddress":"203.0.113.9","ResponseStatusCode":204}`,
			"azure//microsoftgraphactivitylogs", "config_change PATCH microsoftgraphactivitylogs user/actor=u-1 app/actor=a-1 ip/src=203.0.113.9 url/object=https://graph.microsoft.com/v1.0/users/7", nil},
		{`{"time":"2024-03-03T10:00:00Z","category":"MicrosoftGraphActivityLogs","callerIpAddress":"203.0.113.9","properties":{"requestMethod":"DELETE","requestUri":"https://graph.microsoft.com/beta/groups/7","appId":"a-1","responseStatusCode":403}}`,
			"azure//microsoftgraphactivitylogs", "api_call DELETE microsoftgraphactivitylogs app/actor=a-1 ip/src=203.0.113.9 url/object=https://graph.microsoft.com/beta/groups/7", nil},
	})
	checkGolden(t, "azure", "", []golden{
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AADUserRiskEvents","OperationName":"User Risk Detection","Category":"UserRiskEvents","RiskEventType":"anonymizedIPAddress","UserPrincipalName":"Bob@corp.example","IpAddress":"203.0.113.9"}`,
			"azure//riskdetection", "none anonymizedIPAddress riskdetection user/subject=bob@corp.example ip/src=203.0.113.9", []string{"riskEventType=anonymizedIPAddress"}},
		{`{"time":"2024-03-03T10:00:00Z","category":"UserRiskEvents","operationName":"User Risk Detection","properties":{"riskEventType":"leakedCredentials","riskLevel":"high","userPrincipalName":"bob@corp.example","ipAddress":"203.0.113.9"}}`,
			"azure//riskdetection", "none leakedCredentials riskdetection user/subject=bob@corp.example ip/src=203.0.113.9", []string{"riskEventType=leakedCredentials"}},
		{`{"id":"1","riskEventType":"unlikelyTravel","riskState":"atRisk","detectedDateTime":"2024-03-03T10:00:00Z","userPrincipalName":"bob@corp.example","ipAddress":"203.0.113.9"}`,
			"azure//riskdetection", "none unlikelyTravel riskdetection user/subject=bob@corp.example ip/src=203.0.113.9", nil},
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AADRiskyUsers","OperationName":"User Risk Detection","Category":"RiskyUsers","RiskState":"confirmedCompromised","UserPrincipalName":"bob@corp.example"}`,
			"azure//riskdetection", "none confirmedCompromised riskdetection user/subject=bob@corp.example", nil},
	})
	checkGolden(t, "entra", "", []golden{
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AADServicePrincipalSignInLogs","OperationName":"Sign-in activity","Category":"ServicePrincipalSignInLogs","ResultType":"7000215","ServicePrincipalId":"sp-1","ServicePrincipalName":"Tool","AppId":"A-1","IPAddress":"203.0.113.9"}`,
			"azure//signinlogs", "logon_failed Sign-in activity signinlogs ip/src=203.0.113.9 app/object=a-1", nil},
	})
}

// Azure's resources as rows of the tables of Log Analytics: AzureDiagnostics, whose
// columns carry their type, and the tables of one log each.
func TestAzureTables(t *testing.T) {
	checkGolden(t, "azure-resource", "", []golden{
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AzureDiagnostics","Category":"AuditEvent","OperationName":"SecretGet","ResourceId":"/SUBSCRIPTIONS/S/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V","CallerIPAddress":"203.0.113.9","identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s":"Eve@corp.example","id_s":"https://v.vault.azure.net/secrets/db","ResultSignature":"OK"}`,
			"azure//keyvault", "object_read SecretGet keyvault user/actor=eve@corp.example ip/src=203.0.113.9 resource/target=/subscriptions/s/providers/microsoft.keyvault/vaults/v resource/target=https://v.vault.azure.net/secrets/db", nil},
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"AZKVAuditLogs","OperationName":"SecretGet","_ResourceId":"/subscriptions/s/providers/microsoft.keyvault/vaults/v","CallerIpAddress":"203.0.113.9","Identity":"{\"claim\":{\"upn\":\"Eve@corp.example\",\"appid\":\"a-1\"}}","Id":"https://v.vault.azure.net/secrets/db","ResultSignature":"OK"}`,
			"azure//keyvault", "object_read SecretGet keyvault user/actor=eve@corp.example app/actor=a-1 ip/src=203.0.113.9 resource/target=/subscriptions/s/providers/microsoft.keyvault/vaults/v resource/target=https://v.vault.azure.net/secrets/db", nil},
		{`{"TimeGenerated":"2024-03-03T10:00:00Z","Type":"StorageBlobLogs","Category":"StorageRead","OperationName":"GetBlob","_ResourceId":"/subscriptions/s/providers/microsoft.storage/storageaccounts/a","CallerIpAddress":"203.0.113.9:5","RequesterUpn":"eve@corp.example","StatusCode":"200","ObjectKey":"/a/box/plan.txt"}`,
			"azure//storage", "object_read GetBlob storage user/actor=eve@corp.example ip/src=203.0.113.9 resource/target=/subscriptions/s/providers/microsoft.storage/storageaccounts/a resource/target=azure-storage:/a/box/plan.txt", nil},
		{`{"TimeGenerated":"2024-03-03T10:00:07Z","event_time_t":"2024-03-03T10:00:00Z","Type":"AzureDiagnostics","Category":"SQLSecurityAuditEvents","OperationName":"AuditEvent","ResourceId":"/SUBSCRIPTIONS/S/DATABASES/D","action_name_s":"DATABASE AUTHENTICATION FAILED","succeeded_s":"false","server_principal_name_s":"sa","client_ip_s":"203.0.113.9"}`,
			"azure/database/sqlauditing", `logon_failed DATABASE AUTHENTICATION FAILED sqlauditing ip/src=203.0.113.9 user/target=/subscriptions/s/databases/d\sa resource/target=/subscriptions/s/databases/d`, nil},
		{`{"TimeGenerated":"2024-03-03T10:00:07Z","EventTime":"2024-03-03T10:00:00Z","Type":"SQLSecurityAuditEvents","OperationName":"AuditEvent","_ResourceId":"/subscriptions/s/databases/d","ActionName":"SELECT","Succeeded":"True","ServerPrincipalName":"eve@corp.example","ClientIp":"203.0.113.9"}`,
			"azure/database/sqlauditing", `object_read SELECT sqlauditing ip/src=203.0.113.9 user/actor=eve@corp.example resource/target=/subscriptions/s/databases/d`, nil},
	})
}

// Identity providers: Ping Identity, Teleport, authentik.
func TestPing(t *testing.T) {
	checkGolden(t, "pingid", "", []golden{
		{`{"source":"PINGID","id":"1","recorded":"2024-03-03T10:00:00.763Z","actors":[{"type":"user","name":"Bob"}],"resources":[{"ipaddress":"203.0.113.9","websession":"w1"}],"result":{"status":"SUCCESS","message":"Swipe \"phone\""}}`,
			"pingid//pingid", `logon success pingid user/target=pingid\bob ip/src=203.0.113.9 session/target=pingid:w1`, nil},
		{`{"source":"PINGID","id":"1","recorded":"2024-03-03T10:00:00.763Z","actors":[{"type":"user","name":"bob@corp.example"}],"resources":[{"ipaddress":"203.0.113.9"}],"result":{"status":"FAILURE","message":"Denied by user"}}`,
			"pingid//pingid", `logon_failed failure pingid user/target=bob@corp.example ip/src=203.0.113.9`, nil},
		{`{"id":"1","recorded":"2024-03-03T10:00:00.763Z","actors":[{"type":"user","name":"bob@corp.example"}],"resources":[{}],"result":{"status":"SUCCESS","message":"Device Paired"}}`,
			"pingid//pingid", `account_change success pingid user/target=bob@corp.example`, nil},
		{`{"source":"PINGID","id":"1","recorded":"2024-03-03T10:00:00.763Z","actors":[{"type":"user","name":"bob@corp.example"}],"result":{"status":"POLICY","message":"Authentication Details"}}`,
			"pingid//pingid", `api_call policy pingid user/actor=bob@corp.example`, nil},
	})
	checkGolden(t, "pingone", "", []golden{
		{`{"id":"1","recordedAt":"2024-03-03T10:00:00.5Z","action":{"type":"USER.ACCESS_ALLOWED"},"actors":{"user":{"id":"u","name":"Bob","type":"USER"},"client":{"id":"C1","name":"Portal"}},"resources":[{"type":"USER","id":"u","name":"Bob"}],"source":{"ipAddress":"203.0.113.9"},"result":{"status":"SUCCESS"}}`,
			"pingone//pingone", `logon USER.ACCESS_ALLOWED pingone user/target=pingone\bob app/actor=c1 ip/src=203.0.113.9`, nil},
		{`{"id":"1","recordedAt":"2024-03-03T10:00:00.5Z","action":{"type":"ROLE_ASSIGNMENT.CREATED"},"actors":{"user":{"name":"adm@corp.example"}},"resources":[{"type":"USER","id":"u","name":"bob@corp.example"}],"result":{"status":"SUCCESS"}}`,
			"pingone//pingone", `account_change ROLE_ASSIGNMENT.CREATED pingone user/actor=adm@corp.example user/target=bob@corp.example`, nil},
		{`{"id":"1","createdAt":"2024-03-03T10:00:00.5Z","action":{"type":"PASSWORD.CHECK_FAILED"},"actors":{"user":{"name":"bob"}},"result":{"status":"FAILED"}}`,
			"pingone//pingone", `logon_failed PASSWORD.CHECK_FAILED pingone user/target=pingone\bob`, nil},
	})
}

func TestAppJSON(t *testing.T) {
	checkGolden(t, "teleport", "", []golden{
		{`{"ei":0,"event":"user.login","uid":"1","code":"T1000W","time":"2024-03-03T10:00:00.1Z","cluster_name":"tp.example","user":"root","success":false,"addr.remote":"203.0.113.9:34"}`,
			"teleport//teleport", `logon_failed user.login teleport user/target=tp.example\root ip/src=203.0.113.9`, nil},
		{`{"ei":0,"event":"session.start","uid":"1","code":"T2000I","time":"2024-03-03T10:00:00.1Z","cluster_name":"tp.example","user":"eve@corp.example","sid":"s1","server_hostname":"db1","addr.remote":"203.0.113.9:34"}`,
			"teleport//teleport", `remote_exec session.start teleport user/actor=eve@corp.example host/dst=db1 session/actor=teleport:s1 ip/src=203.0.113.9`, nil},
	})
	checkGolden(t, "authentik", "", []golden{
		{`{"action":"login_failed","auth_via":"unauthenticated","client_ip":"203.0.113.9","context":{"username":"bob","http_request":{"path":"/x"}},"host":"sso.example","timestamp":"2024-03-03T10:00:00.1Z"}`,
			"authentik//authentik", `logon_failed login_failed authentik user/target=sso.example\bob ip/src=203.0.113.9`, nil},
		{`{"action":"model_updated","client_ip":"203.0.113.9","user":{"username":"adm@corp.example"},"context":{"http_request":{"path":"/x"}},"created":"2024-03-03T10:00:00.1Z"}`,
			"authentik//authentik", `config_change model_updated authentik user/actor=adm@corp.example ip/src=203.0.113.9`, nil},
	})
	checkGolden(t, "gitlab", "host-of-golden.json", []golden{
		{`{"method":"POST","path":"/users/sign_in","format":"html","controller":"SessionsController","action":"create","status":401,"time":"2024-03-03T10:00:00.1Z","remote_ip":"203.0.113.9","ua":"x","username":"bob"}`,
			"gitlab/webserver/gitlab", `logon_failed 401 gitlab user/target=host-of-golden.json\bob ip/src=203.0.113.9 url/object=http://host-of-golden.json/users/sign_in`, []string{"sc-status=401", "c-ip=203.0.113.9"}},
	})
	checkGolden(t, "access-json", "host-of-golden.json", []golden{
		{`{"type":"response","@timestamp":"2024-03-03T10:00:00Z","method":"post","statusCode":401,"req":{"url":"/auth/login?x=","method":"post","headers":{"host":"kb.example"},"remoteAddress":"203.0.113.9","userAgent":"x"},"res":{"statusCode":401}}`,
			"webserver/webserver/dashboards", `none 401 dashboards ip/src=203.0.113.9 domain/dst=kb.example url/object=http://kb.example/auth/login?x=`, []string{"cs-method=POST"}},
	})
	checkGolden(t, "open-appsec", "host-of-golden.json", []golden{
		{`{"eventTime":"2024-03-03T10:00:00.702","eventName":"Web Request","eventData":{"sourceIP":"203.0.113.9","httpSourceId":"203.0.113.9","httpHostName":"shop.example","httpMethod":"GET","httpUriPath":"/x","securityAction":"Prevent"}}`,
			"open-appsec/webserver/waf", `none  waf ip/src=203.0.113.9 domain/dst=shop.example url/object=http://shop.example/x`, []string{"action=prevent"}},
	})
}

func TestCloudJSONShapes(t *testing.T) {
	checkGolden(t, "s3-access", "", []golden{
		{`{"bucketowner":"o","bucket":"backups","time":"03/Mar/2024:10:00:00 +0000","remoteip":"203.0.113.9","requester":"arn:aws:iam::111122223333:user/eve","requestid":"R","operation":"REST.GET.OBJECT","key":"db.dump","httpstatus":200,"errorcode":"-"}`,
			"aws//s3", `object_read REST.GET.OBJECT s3 user/actor=arn:aws:iam::111122223333:user/eve ip/src=203.0.113.9 resource/target=arn:aws:s3:::backups`, []string{"requestParameters.key=db.dump"}},
		{`{"bucket_name":"backups","requestdatetime":"2024-03-03T10:00:00Z","remoteip":"203.0.113.9","requester":"-","requestid":"R","operation":"REST.GET.BUCKET","key":"-","httpstatus":"403","errorcode":"AccessDenied"}`,
			"aws//s3", `none REST.GET.BUCKET s3 ip/src=203.0.113.9 resource/target=arn:aws:s3:::backups`, []string{"errorCode=AccessDenied"}},
	})
	checkGolden(t, "bedrock", "", []golden{
		{`{"schemaType":"ModelInvocationLog","timestamp":"2024-03-03T10:00:00Z","accountId":"111122223333","region":"us-east-1","requestId":"R","operation":"InvokeModel","modelId":"vendor.model-1","identity":{"arn":"arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0"},"input":{"inputTokenCount":9}}`,
			"aws//bedrock", `api_call InvokeModel bedrock user/actor=arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0 resource/subject=i-0123456789abcdef0 session/actor=arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0 resource/target=arn:aws:bedrock:us-east-1::foundation-model/vendor.model-1`, []string{"eventName=InvokeModel"}},
		{`{"timestamp":"2024-03-03T10:00:00Z","accountId":"111122223333","region":"us-east-1","requestId":"R","operation":"Converse","modelId":"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/x","identity":{"arn":"arn:aws:iam::111122223333:user/eve"}}`,
			"aws//bedrock", `api_call Converse bedrock user/actor=arn:aws:iam::111122223333:user/eve resource/target=arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/x`, nil},
	})
	checkGolden(t, "cisco", "ftd1", []golden{
		{`{"EventType":"ConnectionEvent","FirstPacketSecond":1709460000,"DeviceUUID":"u","Hostname":"FTD1","AC_RuleAction":"Allow","InitiatorIP":"10.0.0.8","ResponderIP":"203.0.113.9","InitiatorPort":5,"ResponderPort":443,"Protocol":"tcp"}`,
			"cisco/firewall/ftd", `connect ConnectionEvent ftd host/sensor=ftd1 ip/src=10.0.0.8 ip/dst=203.0.113.9`, []string{"dst_port=443"}},
		{`{"EventType":"ConnectionEvent","FirstPacketSecond":1709460000,"DeviceUUID":"u","Hostname":"FTD1","AC_RuleAction":"Block","InitiatorIP":"10.0.0.8","ResponderIP":"203.0.113.9"}`,
			"cisco/firewall/ftd", `none ConnectionEvent ftd host/sensor=ftd1 ip/src=10.0.0.8 ip/dst=203.0.113.9`, []string{"blocked=true"}},
	})
}

func TestMySQLJSON(t *testing.T) {
	checkGolden(t, "mysql", "host-of-golden.json", []golden{
		{`{"timestamp":"2024-03-03 10:00:00","id":0,"class":"connection","event":"connect","connection_id":5,"account":{"user":"bob","host":"10.0.0.8"},"login":{"user":"bob","os":"","ip":"203.0.113.9","proxy":""},"connection_data":{"connection_type":"ssl","status":1045,"db":"shop"}}`,
			"mysql/database/mysql", `logon_failed connect mysql user/target=host-of-golden.json\bob ip/src=203.0.113.9 resource/target=host-of-golden.json:database:shop`, []string{"error_code=1045"}},
		{`{"timestamp":"2024-03-03 10:00:00","id":0,"class":"table_access","event":"read","connection_id":5,"account":{"user":"bob","host":"localhost"},"login":{"user":"bob","ip":"203.0.113.9"},"table_access_data":{"db":"shop","table":"cards","query":"select * from cards","sql_command":"select"}}`,
			"mysql/database/mysql", `object_read read mysql user/actor=host-of-golden.json\bob ip/src=203.0.113.9 resource/target=host-of-golden.json:database:shop`, []string{"statement=select * from cards", "object_name=cards"}},
		{`{"audit_record":{"name":"Connect","record":"2_2024","timestamp":"2024-03-03T10:00:00 UTC","connection_id":"7","status":0,"user":"bob","host":"localhost","ip":"203.0.113.9","db":"shop"}}`,
			"mysql/database/mysql", `logon connect mysql user/target=host-of-golden.json\bob session/target=host-of-golden.json:7 ip/src=203.0.113.9 resource/target=host-of-golden.json:database:shop`, nil},
		{`{"audit_record":{"name":"Query","record":"3_2024","timestamp":"2024-03-03T10:00:00Z","command_class":"create_user","connection_id":"7","status":0,"sqltext":"create user eve","user":"bob[bob] @ localhost []","host":"localhost","ip":"","db":"shop"}}`,
			"mysql/database/mysql", `account_change create_user mysql user/target=host-of-golden.json\bob host/src=localhost resource/target=host-of-golden.json:database:shop`, []string{"message=create user eve"}},
	})
}
