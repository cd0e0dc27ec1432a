# fake: nothing makes connections here
$ conns
$ ipvsadm -Lcn --fullnat
FULLNAT connection entries
pro expire state       source               virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000   10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
UDP 00:05  UDP         [2001:db8:c::1]:5353 [2001:db8::1]:53   [fd00::1]:65535    [2001:db8::2]:53
$ ipvsadm -L -c -n -z 10.9.1.1
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn -z 10.9.1.1:1025
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn -z 10.9.1.1:1026
FULLNAT connection entries
pro expire state       source             virtual            local              destination
$ ipvsadm -Lcn -z [fd00::1]:65535
FULLNAT connection entries
pro expire state       source               virtual            local              destination
UDP 00:05  UDP         [2001:db8:c::1]:5353 [2001:db8::1]:53   [fd00::1]:65535    [2001:db8::2]:53
$ ipvsadm -Lcn -z fd00::1
FULLNAT connection entries
pro expire state       source               virtual            local              destination
UDP 00:05  UDP         [2001:db8:c::1]:5353 [2001:db8::1]:53   [fd00::1]:65535    [2001:db8::2]:53
$ ipvsadm -Lcn -r 10.9.2.1
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn -t 10.9.0.1:80 -r 10.9.2.1
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn -r 10.9.2.1:80
FULLNAT connection entries
pro expire state       source             virtual            local              destination
$ ipvsadm -Lcn --client 198.51.100.1:40000
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn --client 198.51.100.2
FULLNAT connection entries
pro expire state       source             virtual            local              destination
$ ipvsadm -Lcn -t 10.9.0.1:80 --fullnat
FULLNAT connection entries
pro expire state       source             virtual            local              destination
TCP 14:59  ESTABLISHED 198.51.100.1:40000 10.9.0.1:80        10.9.1.1:1025      10.9.2.1:8080
$ ipvsadm -Lcn -u [2001:db8::1]:53 --client 2001:db8:c::1
FULLNAT connection entries
pro expire state       source               virtual            local              destination
UDP 00:05  UDP         [2001:db8:c::1]:5353 [2001:db8::1]:53   [fd00::1]:65535    [2001:db8::2]:53
# what cannot be
$ ipvsadm -Lcn -t 10.9.0.1:80
The option 'service-address' conflicts with the 'connection' option in the 'list' command
[2]
$ ipvsadm -L -z 10.9.1.1
Illegal 'laddr' option with the 'list' command
[2]
$ ipvsadm -L --client 10.9.1.1
Illegal 'client' option with the 'list' command
[2]
$ ipvsadm -L -r 10.9.1.1
Illegal 'real-server' option with the 'list' command
[2]
$ ipvsadm -Lcn -z 10.9.1.1 -z 10.9.1.2
multiple 'laddr' options specified
[2]
$ ipvsadm -Lcn -z 10.9.1.1 --client 2001:db8::1
The addresses have to be of one family
[2]
$ ipvsadm -Lcn -t 10.9.0.1:80 --client 2001:db8::1
The addresses have to be of one family
[2]
$ ipvsadm -Lcn -r 10.9.2.1 --client 2001:db8::1
The addresses have to be of one family
[2]
$ ipvsadm -Lcn -z 10.9.1.1-10.9.1.2
illegal local address `10.9.1.1-10.9.1.2': it has to be ADDRESS or ADDRESS:PORT, without names
[2]
$ ipvsadm -Lcn -z 10.9.1.1:0
illegal local address `10.9.1.1:0': a port is a number from 1 to 65535
[2]
$ ipvsadm -Lcn -z 10.9.1.1:65536
illegal local address `10.9.1.1:65536': a port is a number from 1 to 65535
[2]
$ ipvsadm -Lcn -z 10.9.1.1:
illegal local address `10.9.1.1:': a port is a number from 1 to 65535
[2]
$ ipvsadm -Lcn -z [fd00::1
illegal local address `[fd00::1': the brackets are not closed or not followed by :PORT
[2]
$ ipvsadm -Lcn -z [10.9.1.1]:80
illegal local address `[10.9.1.1]:80': it has to be ADDRESS or ADDRESS:PORT, without names
[2]
$ ipvsadm -Lcn --client localhost
illegal client `localhost': it has to be ADDRESS or ADDRESS:PORT, without names
[2]
$ ipvsadm -Lcn --client 1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111
illegal client `1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111': it is too long
[2]
$ ipvsadm -Lcn --client é
illegal client `é': it has to be ADDRESS or ADDRESS:PORT, without names
[2]
$ ipvsadm -Lcn --client ''
illegal client `': it has to be ADDRESS or ADDRESS:PORT, without names
[2]
# options of other lists
$ ipvsadm -Lcn --fullnat --exact
Illegal 'exact' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn --fullnat --nosort
Illegal 'nosort' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn --client 198.51.100.1 --tun-info
Illegal 'tun-info' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn -z 10.9.1.1 --persistent-conn
Illegal 'persistent-conn' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn -r 10.9.2.1 --stats
Illegal 'stats' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn --fullnat --rate
Illegal 'rate' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn --fullnat --thresholds
Illegal 'thresholds' option in a list of FULLNAT connections
[2]
$ ipvsadm -Lcn --fullnat --sort -z 10.9.9.9
FULLNAT connection entries
pro expire state       source             virtual            local              destination
$ ipvsadm --kill
Say which connections: name a service, a real server (-r), a local address (-z) or a client (--client)
[2]
$ ipvsadm --kill -n
Say which connections: name a service, a real server (-r), a local address (-z) or a client (--client)
[2]
$ ipvsadm --kill --fullnat
Say which connections: name a service, a real server (-r), a local address (-z) or a client (--client)
[2]
$ ipvsadm --kill -z 10.9.1.1 --client 2001:db8::1
The addresses have to be of one family
[2]
$ ipvsadm --kill -z 10.9.1.1:1026
0 connections ended
$ ipvsadm --kill -t 10.9.0.1:80 -r 10.9.2.1 -z 10.9.1.1:1025 --client 198.51.100.1
1 connection ended
$ ipvsadm -Lcn --fullnat
FULLNAT connection entries
pro expire state       source               virtual            local              destination
UDP 00:05  UDP         [2001:db8:c::1]:5353 [2001:db8::1]:53   [fd00::1]:65535    [2001:db8::2]:53
$ ipvsadm --kill -u [2001:db8::1]:53
1 connection ended
$ ipvsadm -Lcn --fullnat
FULLNAT connection entries
pro expire state       source             virtual            local              destination
