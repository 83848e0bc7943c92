package decode

import "testing"

// Provisioning by Entra, streamed and as Microsoft Graph lists it.
func TestProvisioning(t *testing.T) {
	checkGolden(t, "azure", "", []golden{
		{`{"time":"2024-03-03T10:00:05Z","resourceId":"/tenants/aaaa/providers/Microsoft.aadiam","operationName":"Provisioning activity","category":"ProvisioningLogs","properties":{"activityDateTime":"2024-03-03T10:00:00Z","jobId":"j","action":"Create","sourceSystem":{"displayName":"Azure Active Directory"},"targetSystem":{"displayName":"Wiki"},
			"sourceIdentity":{"identityType":"User","id":"1","displayName":"Bob@corp.example"},"targetIdentity":{"identityType":"User","id":"2","displayName":"bob"},"servicePrincipal":{"id":"88888888-2222-3333-4444-555555555555","displayName":"Wiki"},"statusInfo":{"status":"Success"}}}`,
			"azure//provisioninglogs", "account_change Create provisioninglogs app/actor=88888888-2222-3333-4444-555555555555 user/target=bob@corp.example", nil},
		{`{"id":"2","activityDateTime":"2024-03-03T10:00:00Z","jobId":"j","provisioningAction":"disable","sourceSystem":{"displayName":"HR"},"targetSystem":{"displayName":"AD"},"sourceIdentity":{"identityType":"User","details":{"userPrincipalName":"bob@corp.example"}},"servicePrincipal":{"id":"88888888-2222-3333-4444-555555555555"},"provisioningStatusInfo":{"status":"failure"}}`,
			"azure//provisioninglogs", "api_call disable provisioninglogs app/actor=88888888-2222-3333-4444-555555555555 user/target=bob@corp.example", nil},
	})
}
