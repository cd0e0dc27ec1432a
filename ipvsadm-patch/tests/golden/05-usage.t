# What may stand together
$ ipvsadm -P
You need to supply the 'laddr' option for the 'add-laddr' command
[2]
$ ipvsadm -P -t 10.9.0.1:80
You need to supply the 'laddr' option for the 'add-laddr' command
[2]
$ ipvsadm -Q -t 10.9.0.1:80
You need to supply the 'laddr' option for the 'del-laddr' command
[2]
$ ipvsadm -G -z 10.9.1.1
Illegal 'laddr' option with the 'get-laddr' command
[2]
$ ipvsadm -A -t 10.9.0.1:80 -z 10.9.1.1
Illegal 'laddr' option with the 'add-service' command
[2]
$ ipvsadm -D -t 10.9.0.1:80 --fullnat
Illegal 'fullnat' option with the 'delete-service' command
[2]
$ ipvsadm -L --fullnat
Illegal 'fullnat' option with the 'list' command
[2]
$ ipvsadm -A -t 10.9.0.1:80 --toa 200
The 'toa' option needs the 'fullnat' option
[2]
$ ipvsadm -E -t 10.9.0.1:80 --timestamps strip
The 'timestamps' option needs the 'fullnat' option
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -m
multiple 'forwarding-method' options specified
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 --toa 200
Illegal 'toa' option with the 'add-server' command
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 --sched-flags sh-port
incompatible scheduler flag `sh-port'
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b sh-port
unexpected argument sh-port
[2]
$ ipvsadm -A -t 10.9.0.1:80 -b
-b: missing argument
[255]
$ ipvsadm -A -t 10.9.0.1:80 -s sh -b junk
invalid scheduler flag `junk'
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --fullnat
multiple 'fullnat' options specified
[2]
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -z 10.9.1.2
multiple 'laddr' options specified
[2]
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -s rr
Illegal 'scheduler' option with the 'add-laddr' command
[2]
$ ipvsadm -P -A -t 10.9.0.1:80
invalid option `-A'
[2]
$ ipvsadm -Q -t 10.9.0.1:80 -z 10.9.1.1:2000-3000
A local address is removed with all its ports: leave out the ports
[2]
# kinds and modes
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa 253
unknown TOA kind `253': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t [2001:db8::1]:80 --fullnat --toa 200
unknown TOA kind `200': for an IPv6 service it is one of 253, 254 and off
[2]
$ ipvsadm --add-service --toa 200 --fullnat -f 3 -6
unknown TOA kind `200': for an IPv6 service it is one of 253, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa 0
unknown TOA kind `0': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa 
--toa: missing argument
[255]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa -1
unknown TOA kind `-1': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa 456
unknown TOA kind `456': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa 0200
unknown TOA kind `0200': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --toa OFF
unknown TOA kind `OFF': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat --timestamps keep
unknown timestamps `keep': it is one of rewrite, strip and pass
[2]
# local addresses
$ ipvsadm -P -z ''
illegal local address `': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z localhost
illegal local address `localhost': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 10.9.1
illegal local address `10.9.1': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 10.9.1.256
illegal local address `10.9.1.256': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 10.9.1.9-8
illegal local address `10.9.1.9-8': the first address is greater than the last
[2]
$ ipvsadm -P -z 10.9.1.9-10.9.1.8
illegal local address `10.9.1.9-10.9.1.8': the first address is greater than the last
[2]
$ ipvsadm -P -z 10.9.1.9-256
illegal local address `10.9.1.9-256': the last address is not a legal one of the first's family
[2]
$ ipvsadm -P -z 10.9.1.9-
illegal local address `10.9.1.9-': the last address is not a legal one of the first's family
[2]
$ ipvsadm -P -z -10.9.1.9
illegal local address `-10.9.1.9': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 10.9.1.9-10.9
illegal local address `10.9.1.9-10.9': the last address is not a legal one of the first's family
[2]
$ ipvsadm -P -z 10.9.1.1-::1
illegal local address `10.9.1.1-::1': the last address is not a legal one of the first's family
[2]
$ ipvsadm -P -z 10.9.1.1/33
illegal local address `10.9.1.1/33': the length of the prefix is not a legal number
[2]
$ ipvsadm -P -z 10.9.1.1/
illegal local address `10.9.1.1/': the length of the prefix is not a legal number
[2]
$ ipvsadm -P -z 10.9.1.1/24
illegal local address `10.9.1.1/24': the address is not the first one of the prefix
[2]
$ ipvsadm -P -z 10.9.0.0/15
illegal local address `10.9.0.0/15': the address is not the first one of the prefix
[2]
$ ipvsadm -P -z 10.9.1.0/28-4
illegal local address `10.9.1.0/28-4': it is either a range or a prefix
[2]
$ ipvsadm -P -z 10.8.0.0-10.9.0.0
illegal local address `10.8.0.0-10.9.0.0': it has more than 65536 addresses
[2]
$ ipvsadm -P -z 0.0.0.0/0
illegal local address `0.0.0.0/0': it has more than 65536 addresses
[2]
$ ipvsadm -P -z 10.9.1.1:
illegal local address `10.9.1.1:': ports are written MIN-MAX
[2]
$ ipvsadm -P -z 10.9.1.1:80
illegal local address `10.9.1.1:80': ports are written MIN-MAX
[2]
$ ipvsadm -P -z 10.9.1.1:0-80
illegal local address `10.9.1.1:0-80': a port is a number from 1 to 65535
[2]
$ ipvsadm -P -z 10.9.1.1:80-65536
illegal local address `10.9.1.1:80-65536': a port is a number from 1 to 65535
[2]
$ ipvsadm -P -z 10.9.1.1:90-80
illegal local address `10.9.1.1:90-80': the first port is greater than the last
[2]
$ ipvsadm -P -z 10.9.1.1:80-90-100
illegal local address `10.9.1.1:80-90-100': a port is a number from 1 to 65535
[2]
$ ipvsadm -P -z 10.9.1.1:x-90
illegal local address `10.9.1.1:x-90': a port is a number from 1 to 65535
[2]
$ ipvsadm -P -z ' 10.9.1.1'
illegal local address ` 10.9.1.1': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 10.9.1.1é
illegal local address `10.9.1.1é': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z [10.9.1.1]:80-90
illegal local address `[10.9.1.1]:80-90': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z [2001:db8::1
illegal local address `[2001:db8::1': the brackets are not closed or not followed by :MIN-MAX
[2]
$ ipvsadm -P -z [2001:db8::1]80-90
illegal local address `[2001:db8::1]80-90': the brackets are not closed or not followed by :MIN-MAX
[2]
$ ipvsadm -P -z 2001:db8::1/64
illegal local address `2001:db8::1/64': the address is not the first one of the prefix
[2]
$ ipvsadm -P -z 2001:db8::/64
illegal local address `2001:db8::/64': it has more than 65536 addresses
[2]
$ ipvsadm -P -z ::/0
illegal local address `::/0': it has more than 65536 addresses
[2]
$ ipvsadm -P -z 2001:db8::-2001:db8::1:0
illegal local address `2001:db8::-2001:db8::1:0': it has more than 65536 addresses
[2]
$ ipvsadm -P -z 2001:db8::1-ff
illegal local address `2001:db8::1-ff': the last address is not a legal one of the first's family
[2]
$ ipvsadm -P -z fe80::1%eth0
illegal local address `fe80::1%eth0': it has to be ADDRESS, FIRST-LAST or ADDRESS/LENGTH, without names
[2]
$ ipvsadm -P -z 1111:1111:1111:1111:1111:1111:1111:1111-1111:1111:1111:1111:1111:1111:1111:1111111111111111111111
illegal local address `1111:1111:1111:1111:1111:1111:1111:1111-1111:1111:1111:1111:1111:1111:1111:1111111111111111111111': the last address is not a legal one of the first's family
[2]
# nothing came of all that
$ ipvsadm -Sn
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
