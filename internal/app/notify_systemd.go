package app

import (
	"net"
	"os"
)

// tellSystemd says how the process is to the service manager, if one asked: READY=1,
// RELOADING=1, STOPPING=1, STATUS=... See sd_notify(3).
func tellSystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' { // an abstract socket
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // the service manager went away; there is nobody to tell
	}
	defer c.Close()               //nolint:errcheck // a datagram was sent or not
	_, _ = c.Write([]byte(state)) // as above
}
