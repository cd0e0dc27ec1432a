# Real servers: the method and its default
$ local 10.9.1.1
$ ipvsadm -P -z 10.9.1.1
$ ipvsadm -A -t 10.9.0.1:80 -s rr --fullnat
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:8080
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 3
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.3:8080 --fullnat -w 4
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.4:8080 -m
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.5:80 -g
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.6:80 -i
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:8080                FullNat 1      0          0         
  -> 10.9.2.2:8080                FullNat 3      0          0         
  -> 10.9.2.3:8080                FullNat 4      0          0         
  -> 10.9.2.4:8080                FullNat 1      0          0         
  -> 10.9.2.5:80                  Route   1      0          0         
  -> 10.9.2.6:80                  Tunnel  1      0          0         
$ ipvsadm -Ln -t 10.9.0.1:80
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:8080                FullNat 1      0          0         
  -> 10.9.2.2:8080                FullNat 3      0          0         
  -> 10.9.2.3:8080                FullNat 4      0          0         
  -> 10.9.2.4:8080                FullNat 1      0          0         
  -> 10.9.2.5:80                  Route   1      0          0         
  -> 10.9.2.6:80                  Tunnel  1      0          0         
$ ipvsadm -Ln --tun-info
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:8080                FullNat n/a           1      0          0         
  -> 10.9.2.2:8080                FullNat n/a           3      0          0         
  -> 10.9.2.3:8080                FullNat n/a           4      0          0         
  -> 10.9.2.4:8080                FullNat n/a           1      0          0         
  -> 10.9.2.5:80                  Route   n/a           1      0          0         
  -> 10.9.2.6:80                  Tunnel  ipip          1      0          0         
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat
-a -t 10.9.0.1:80 -r 10.9.2.1:8080 -b -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 3
-a -t 10.9.0.1:80 -r 10.9.2.3:8080 -b -w 4
-a -t 10.9.0.1:80 -r 10.9.2.4:8080 -m -w 1
-a -t 10.9.0.1:80 -r 10.9.2.5:80 -g -w 1
-a -t 10.9.0.1:80 -r 10.9.2.6:80 -i -w 1 --tun-type ipip
# the same again is no error, others are
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 3
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 4
Destination already exists
[255]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.4:8080 -m
Destination already exists
[255]
$ ipvsadm -e -t 10.9.0.1:80 -r 10.9.2.2:8080 -w 9
$ ipvsadm -e -t 10.9.0.1:80 -r 10.9.2.5:80 -b -w 2
$ ipvsadm -e -t 10.9.0.1:80 -r 10.9.2.9:80 -b
No such destination
[255]
$ ipvsadm -a -t 10.9.0.9:80 -r 10.9.2.9:80 -b
Service not defined
[255]
$ ipvsadm -d -t 10.9.0.1:80 -r 10.9.2.6:80
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:8080                FullNat 1      0          0         
  -> 10.9.2.2:8080                FullNat 9      0          0         
  -> 10.9.2.3:8080                FullNat 4      0          0         
  -> 10.9.2.4:8080                FullNat 1      0          0         
  -> 10.9.2.5:80                  FullNat 2      0          0         
# combined letters, as in the original
$ ipvsadm -ab -t 10.9.0.1:80 -r 10.9.2.7:80
# a service that is not declared: as in the original, but -b is there
$ ipvsadm -A -t 10.9.0.2:80 -s sh -b sh-port
$ ipvsadm -a -t 10.9.0.2:80 -r 10.9.2.1:80
$ ipvsadm -a -t 10.9.0.2:80 -r 10.9.2.2:8080 -b
$ ipvsadm -Ln -t 10.9.0.2:80
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.2:80 sh (sh-port)
  -> 10.9.2.1:80                  Route   1      0          0         
  -> 10.9.2.2:8080                FullNat 1      0          0         
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat
-a -t 10.9.0.1:80 -r 10.9.2.1:8080 -b -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 9
-a -t 10.9.0.1:80 -r 10.9.2.3:8080 -b -w 4
-a -t 10.9.0.1:80 -r 10.9.2.4:8080 -m -w 1
-a -t 10.9.0.1:80 -r 10.9.2.5:80 -b -w 2
-a -t 10.9.0.1:80 -r 10.9.2.7:80 -b -w 1
-A -t 10.9.0.2:80 -s sh -b sh-port
-a -t 10.9.0.2:80 -r 10.9.2.1:80 -g -w 1
-a -t 10.9.0.2:80 -r 10.9.2.2:8080 -b -w 1
# one-packet scheduling
$ ipvsadm -A -u 10.9.0.3:53 -o
$ ipvsadm -a -u 10.9.0.3:53 -r 10.9.2.1:53 -b
FULLNAT is not possible in a service with one-packet scheduling
[255]
$ ipvsadm -A -u 10.9.0.4:53 -o --fullnat
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -E -t 10.9.0.1:80 -o
One-Packet Scheduling is only for UDP virtual services
[2]
$ ipvsadm -A -f 7 --fullnat
$ ipvsadm -E -f 7 -o
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
# what real servers are limited to is saved
$ ipvsadm -A -t 10.9.0.7:80 -s rr --fullnat
$ ipvsadm -a -t 10.9.0.7:80 -r 10.9.2.1:80 -x 4294967295
illegal u_threshold specified
[2]
$ ipvsadm -a -t 10.9.0.7:80 -r 10.9.2.1:80 -x 100 -y 90
$ ipvsadm -a -t 10.9.0.7:80 -r 10.9.2.2:80 -m -x 100
$ ipvsadm -A -t 10.9.0.8:80 -s rr
$ ipvsadm -a -t 10.9.0.8:80 -r 10.9.2.1:80 -i --tun-type gre --tun-csum -x 7 -y 6
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat
-a -t 10.9.0.1:80 -r 10.9.2.1:8080 -b -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:8080 -b -w 9
-a -t 10.9.0.1:80 -r 10.9.2.3:8080 -b -w 4
-a -t 10.9.0.1:80 -r 10.9.2.4:8080 -m -w 1
-a -t 10.9.0.1:80 -r 10.9.2.5:80 -b -w 2
-a -t 10.9.0.1:80 -r 10.9.2.7:80 -b -w 1
-A -t 10.9.0.2:80 -s sh -b sh-port
-a -t 10.9.0.2:80 -r 10.9.2.1:80 -g -w 1
-a -t 10.9.0.2:80 -r 10.9.2.2:8080 -b -w 1
-A -t 10.9.0.7:80 -s rr --fullnat
-a -t 10.9.0.7:80 -r 10.9.2.1:80 -b -w 1 -x 100 -y 90
-a -t 10.9.0.7:80 -r 10.9.2.2:80 -m -w 1 -x 100
-A -t 10.9.0.8:80 -s rr
-a -t 10.9.0.8:80 -r 10.9.2.1:80 -i -w 1 --tun-type gre --tun-csum -x 7 -y 6
-A -u 10.9.0.3:53 -s wlc -o
-A -f 7 -s wlc --fullnat
