package decode

import "testing"

func TestAzureSDK(t *testing.T) {
	const want = "object_delete Microsoft.Compute/disks/delete activitylogs ip/src=203.0.113.9 user/actor=eve@x.example resource/target=/subscriptions/s/disks/d"
	fields := []string{"operationName=Microsoft.Compute/disks/delete", "category=Administrative", "resourceId=/subscriptions/S/disks/d", "status=Succeeded"}
	checkGolden(t, "azure", "", []golden{
		{`{"caller":"Eve@x.example","category":{"value":"Administrative","localized_value":"Verwaltung"},"http_request":{"client_ip_address":"203.0.113.9","method":"DELETE"},"resource_id":"/subscriptions/S/disks/d",` +
			`"operation_name":{"value":"Microsoft.Compute/disks/delete","localized_value":"x"},"status":{"value":"Succeeded"},"event_timestamp":"2024-03-03T10:00:00.5Z"}`, "azure//activitylogs", want, fields},
		{`{"caller":"Eve@x.example","category":{"value":"Administrative","localizedValue":"x"},"httpRequest":{"clientIpAddress":"203.0.113.9"},"resourceId":"/subscriptions/S/disks/d",` +
			`"operationName":{"value":"Microsoft.Compute/disks/delete","localizedValue":"x"},"status":{"value":"Succeeded"},"eventTimestamp":"2024-03-03T10:00:00.5Z"}`, "azure//activitylogs", want, fields},
	})
}
