package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestMongoDB(t *testing.T) {
	for record, want := range map[string]string{
		`{"t":{"$date":"2024-03-04T10:00:01.903+02:00"},"s":"I","c":"ACCESS","id":20249,"ctx":"conn1","msg":"Authentication failed","attr":{"principalName":"root","authenticationDatabase":"admin","remote":"203.0.113.9:4071"}}`: `08:00 logon_failed Authentication failed mongodb user/target=host-of-mongod.log\root ip/src=203.0.113.9 resource/target=host-of-mongod.log:database:admin`,
		`{"t":{"$date":"2024-03-04T10:00:01.903Z"},"s":"I","c":"ACCESS","id":5286306,"ctx":"conn1","msg":"Successfully authenticated","attr":{"client":"203.0.113.9:4071","user":"root","db":"admin"}}`:                            `10:00 logon Successfully authenticated mongodb user/target=host-of-mongod.log\root ip/src=203.0.113.9 resource/target=host-of-mongod.log:database:admin`,
		`{"t":{"$date":"2024-03-04T10:00:01.903Z"},"s":"I","c":"NETWORK","id":22943,"ctx":"listener","msg":"Connection accepted","attr":{"remote":"203.0.113.9:4071","connectionId":1}}`:                                           `10:00 none Connection accepted mongodb ip/src=203.0.113.9`,
		`{"atype":"createUser","ts":{"$date":"2024-03-04T10:00:01.903Z"},"remote":{"ip":"10.0.0.8","port":5},"users":[{"user":"admin","db":"admin"}],"roles":[],"param":{"user":"eve","db":"shop"},"result":0}`:                    `10:00 account_change createUser mongodb user/target=host-of-mongod.log\eve user/actor=host-of-mongod.log\admin ip/src=10.0.0.8 resource/target=host-of-mongod.log:database:admin`,
		`{"atype":"authCheck","ts":{"$date":"2024-03-04T10:00:01.903Z"},"remote":{"ip":"10.0.0.8","port":5},"users":[{"user":"app","db":"shop"}],"roles":[],"param":{"command":"find","ns":"shop.cards"},"result":0}`:              `10:00 object_read authCheck mongodb user/actor=host-of-mongod.log\app ip/src=10.0.0.8 resource/target=host-of-mongod.log:database:shop`,
	} {
		b, bad := decodeAll(t, JSON(Options{Names: model.NewNames()}), "mongod.log", []byte(record))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", record, len(b.Events), bad)
			continue
		}
		if got := b.Events[0].Time.Format("15:04") + " " + describeEvent(&b.Events[0]); got != want {
			t.Errorf("%s:\n got %s\nwant %s", record, got, want)
		}
	}
}
